/** The bounds of what is judged. A request beyond them is denied before anything reads it. */
import { LIMITS } from '../../limits.ts'
import type { PolicyRequest } from '../facts.ts'

/** @returns what is wrong with it; undefined where nothing is. Stops at the bounds, however large it is. */
export function unacceptable(request: PolicyRequest): string | undefined {
  const left: Left = { items: LIMITS.policyRequestItems, chars: LIMITS.policyRequestChars }
  const fault = faultOf(request, 0, left)
  if (fault !== undefined) return fault
  const { ttlSeconds, now, confidence = 0, claims } = request.context
  if (!Object.values(claims).every(isClaim))
    return 'a claim that is no text, number, truth value or list of texts'
  if (ttlSeconds < 0 || now < 0 || now > LAST_MS || confidence < 0 || confidence > 100)
    return 'a time or a figure out of its range'
  if (request.resources.length === 0) return 'nothing is touched'
  return undefined
}

/** The last moment that Cedar's datetime and ECMAScript's Date both have in four digits. */
const LAST_MS = Date.UTC(9999, 11, 31)

function isClaim(value: unknown): boolean {
  return Array.isArray(value) ? value.every(one => typeof one === 'string') : typeof value !== 'object'
}

type Left = { items: number; chars: number }

const { policyTextChars, policyRequestDepth } = LIMITS

function faultOf(value: unknown, depth: number, left: Left): string | undefined {
  if (typeof value === 'string') return faultOfText(value, left)
  left.items -= 1
  if (left.items < 0) return TOO_MANY
  switch (typeof value) {
    case 'boolean':
    case 'undefined': // a member that is not there
      return undefined
    case 'number':
      return Number.isSafeInteger(value) ? undefined : 'a number that is not whole, or too large'
    case 'object':
      if (value === null) return 'a null'
      break
    default:
      return `a ${typeof value}`
  }
  if (depth >= policyRequestDepth) return 'facts nested too deep'
  if (Array.isArray(value)) {
    // Any other member that is no item is left out where it is written.
    if ('toJSON' in value) return 'a list that writes itself as another'
    for (const one of value) {
      const fault = faultOf(one, depth + 1, left)
      if (fault !== undefined) return fault
    }
    return undefined
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return 'an object that is not plain data'
  for (const name in value) {
    const fault =
      faultOfText(name, left) ?? faultOf((value as Readonly<Record<string, unknown>>)[name], depth + 1, left)
    if (fault !== undefined) return fault
  }
  return undefined
}

const TOO_MANY = 'too many facts'

function faultOfText(text: string, left: Left): string | undefined {
  left.items -= 1
  if (left.items < 0) return TOO_MANY
  left.chars -= text.length
  if (text.length > policyTextChars || left.chars < 0) return 'a text that is too long'
  return text.isWellFormed() ? undefined : 'a text with a lone surrogate'
}
