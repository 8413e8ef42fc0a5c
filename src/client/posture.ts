/** Where the workload runs, in the words of those who know: signed statements beside its evidence. */

import { MayflyError } from './mayfly-error.ts'

/** A sandbox's signed statement, or the Sigstore bundle of an image (as `gh attestation download` writes it). */
export type Statement =
  | { readonly type: 'jwt'; readonly token: string }
  | { readonly type: 'sigstore'; readonly bundle: Readonly<Record<string, unknown>> }

/** Asked as each task is opened, and for each heartbeat that has to bring them: fresh ones, each time. */
export type PostureSource = () => readonly Statement[] | Promise<readonly Statement[]>

/** A bundle is JSON, and a signed statement is none. @throws MayflyError `posture_malformed` */
export function statementFrom(text: string, where: string): Statement {
  const trimmed = text.trim()
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(trimmed)) return { type: 'jwt', token: trimmed }
  const bundle = objectOf(trimmed)
  if (bundle !== undefined) return { type: 'sigstore', bundle }
  throw new MayflyError(
    `${where} holds neither a signed statement (a JWT) nor a Sigstore bundle (one JSON object), and nothing else`,
    { code: 'posture_malformed' },
  )
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    return undefined
  }
}
