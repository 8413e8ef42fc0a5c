/**
 * Who would take evidence that is very much like this: an issuer that differs by a slash, another audience. By its
 * unverified content, so it is told to whoever brought it and believed by nobody.
 */
import type { Attestor, Evidence } from '../../../attestors/attestor.ts'
import { peekEvidence } from '../../../attestors/shared/compact-jws.ts'
import { shown } from '../../../attestors/shared/tell.ts'

export type Nearly = {
  attestor: string
  differs: 'issuer' | 'audience'
  /** In what way, in words. */
  by: string
  expected: string
  found: string
}

/** Of an attestor that takes evidence of that issuer, it is the audience; of one that does not, the issuer. */
export function nearlyTaken(attestors: ReadonlyMap<string, Attestor>, evidence: Evidence): Nearly[] {
  const near: Nearly[] = []
  for (const [name, attestor] of attestors) {
    const { takes } = attestor
    if (takes === undefined) continue
    if (attestor.recognises(evidence)) {
      const found = shown(peekJson(evidence, 'aud'))
      const expected = shown(takes.audience ?? '')
      near.push({ attestor: name, differs: 'audience', by: 'it is meant for somebody else', expected, found })
      continue
    }
    const claimed = trustRootOf(evidence, takes.issuer)
    const by = claimed === undefined ? undefined : difference(takes.issuer, claimed)
    if (by !== undefined)
      near.push({
        attestor: name,
        differs: 'issuer',
        by,
        expected: shown(takes.issuer),
        found: shown(claimed),
      })
  }
  return near
}

/** One claim, unverified. */
export function peek(evidence: Evidence, name: string): unknown {
  return peekEvidence(evidence, name)
}

function peekJson(evidence: Evidence, name: string): Parameters<typeof shown>[0] {
  const value = peekEvidence(evidence, name)
  if (typeof value === 'string') return value
  return Array.isArray(value) ? value.filter(entry => typeof entry === 'string') : undefined
}

/** `iss`; where a SPIFFE trust domain is what is taken, that of `sub`. */
function trustRootOf(evidence: Evidence, issuer: string): string | undefined {
  const isSpiffe = issuer.startsWith('spiffe://')
  const claimed = peekEvidence(evidence, isSpiffe ? 'sub' : 'iss')
  if (typeof claimed !== 'string') return undefined
  return isSpiffe ? /^spiffe:\/\/[^/]*/i.exec(claimed)?.[0] : claimed
}

/** How two names differ that a person might take for one; undefined where nobody would. */
function difference(expected: string, found: string): string | undefined {
  for (const [by, alike] of ALIKE) if (alike(expected) === alike(found)) return by
  if (!URL.canParse(expected) || !URL.canParse(found)) return undefined
  const [a, b] = [new URL(expected), new URL(found)]
  if (a.hostname === '' || a.hostname !== b.hostname) return undefined
  return a.host === b.host ? 'the path' : 'the port'
}

const noSlash = (text: string) => text.replace(/\/+$/, '')
const ALIKE: readonly (readonly [by: string, alike: (text: string) => string])[] = [
  ['a slash at the end', noSlash],
  ['white space', text => text.trim()],
  ['upper and lower case', text => text.toLowerCase()],
  ['http and https', text => text.replace(/^https?:/, '')],
  [
    'more than one of: slash, case, scheme, white space',
    text => noSlash(text.trim().toLowerCase()).replace(/^https?:/, ''),
  ],
]
