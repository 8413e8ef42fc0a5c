/** Keeps evidence out of what is said of it, whatever a claim or a plugin's own words hold. */
import type { Evidence } from '../../../attestors/attestor.ts'
import { withoutTokens } from '../../../attestors/shared/tell.ts'

/** Shorter parts are words of their own, and no secret. */
const LEAST_PART_CHARACTERS = 16

/** The same plain data with no part of the evidence in any of its texts, and no other token either. */
export function withoutEvidence<T>(data: T, evidence: Evidence): T {
  const segments = evidence.type === 'jwt' ? evidence.token.split('.') : []
  const parts = segments.filter(part => part.length >= LEAST_PART_CHARACTERS)
  const hide = (text: string) => parts.reduce((left, part) => left.replaceAll(part, '…'), withoutTokens(text))
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return hide(value)
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [hide(name), walk(inner)]))
  }
  return walk(data) as T
}
