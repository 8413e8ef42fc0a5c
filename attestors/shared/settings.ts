/** Settings that more than one attestor has. Keys are written as in the configuration file. */
import { z } from 'zod'
import { ALGORITHMS } from './algorithms.ts'

/** An OIDC issuer: https, or http on a loopback host for development; no query, fragment or user name. */
export const issuerUrl = z.string().refine(text => isSecureUrl(text) && !/[?#]/.test(text), {
  message: 'must be an https URL without user name, query or fragment (http only on a loopback host)',
})

/** A key set's address; some issuers have a query in it. */
export const keySetUrl = z.string().refine(isSecureUrl, {
  message: 'must be an https URL without user name (http only on a loopback host)',
})

/** The broker's own name in tokens. Compared letter for letter, so stray white space is a mistake. */
export const audience = z
  .string()
  .min(1)
  .max(512)
  .refine(value => value.trim() === value, 'must not begin or end with white space')

export const algorithms = z
  .array(z.enum(ALGORITHMS))
  .min(1)
  .refine(list => new Set(list).size === list.length, 'must not name an algorithm twice')

/** Of evidence that is handed out more than once (`replay.reuse`). */
export const reuse = z.enum(['pinned', 'open']).default('pinned')

export function reuseNotices(chosen: z.infer<typeof reuse>): string[] {
  if (chosen === 'pinned') return []
  return [
    'reuse: open lets whoever copies its evidence open tasks with it until it expires; bind tasks to keys instead',
  ]
}

export const seconds = (max: number) => z.int().min(1).max(max)

function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text) || /\s/.test(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return false
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))
}

function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
