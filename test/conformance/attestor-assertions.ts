/** Assertions that need no test runner, so that the suite's own checks can be shown to fail. */
import type { Evidence } from '../../attestors/attestor.ts'

export function check(holds: boolean, rule: string): void {
  if (!holds) throw new Error(`does not hold: ${rule}`)
}

export function checkEqual<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

const SHORTEST_TELLING = 12

/** The evidence as text: a token as it is, certificates in base64 one after another, as segments. */
export function textOf(evidence: Evidence): string {
  if (evidence.type === 'jwt') return evidence.token
  if (evidence.type === 'sigstore') return JSON.stringify(evidence.bundle)
  return evidence.chain.map(der => Buffer.from(der).toString('base64')).join('.')
}

/** Whether a text gives the evidence away: whole, by a segment, or by a string that it carries inside. */
export function holdsEvidence(text: string, evidence: Evidence): boolean {
  const token = textOf(evidence)
  const segments = token.split('.')
  const decoded = segments.slice(0, 2).flatMap(segment => stringsIn(segment))
  const telling = [token, ...segments, ...decoded].filter(part => part.length >= SHORTEST_TELLING)
  return telling.some(part => text.includes(part))
}

function stringsIn(segment: string): string[] {
  try {
    const part: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString())
    return Object.values(part ?? {}).filter(value => typeof value === 'string')
  } catch {
    return []
  }
}
