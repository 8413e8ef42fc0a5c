import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical.ts'

/** SHA-256 (hex) of the canonical JSON of a value: what decisions and approvals are bound to. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex')
}
