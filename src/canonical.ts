/**
 * One text for one JSON value (RFC 8785, JSON Canonicalization Scheme): members sorted by UTF-16 code units,
 * no white space, numbers and strings as ECMAScript writes them. What is digested, MACed or approved is
 * this text.
 */
import { createHash } from 'node:crypto'
import { LIMITS } from './limits.ts'

/**
 * @throws TypeError for what JSON cannot say without loss: undefined members, NaN and infinities, bigint,
 * functions, dates and other objects with a class, lone surrogates, and nesting beyond the limit.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0)
}

/** SHA-256 of the canonical text, 64 hex digits. */
export function canonicalDigest(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value), 'utf8').digest('hex')
}

function write(value: unknown, depth: number): string {
  if (depth > LIMITS.canonicalDepth) throw new TypeError('nested too deep to be canonical')
  switch (typeof value) {
    case 'boolean':
      return String(value)
    case 'string':
      return writeString(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} is not a JSON number`)
      return JSON.stringify(value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
    default:
      throw new TypeError(`${typeof value} is not a JSON value`)
  }
}

function writeString(value: string): string {
  if (PLAIN.test(value)) return `"${value}"`
  if (!value.isWellFormed()) throw new TypeError('a lone surrogate is not text')
  return JSON.stringify(value)
}

/** Printable ASCII without quote and backslash: written as it is. */
const PLAIN = /^[ !#-[\]-~]*$/

function writeArray(items: readonly unknown[], depth: number): string {
  let text = ''
  // By index: a hole becomes undefined, which is refused.
  for (let index = 0; index < items.length; index += 1)
    text += `${index === 0 ? '' : ','}${write(items[index], depth + 1)}`
  return `[${text}]`
}

function writeObject(value: object, depth: number): string {
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw new TypeError('not a plain object')
  let text = ''
  // Sorted without a comparison of ours: that is by UTF-16 code units.
  for (const name of Object.keys(value).sort()) {
    const item = (value as Readonly<Record<string, unknown>>)[name]
    text += `${text === '' ? '' : ','}${writeString(name)}:${write(item, depth + 1)}`
  }
  return `{${text}}`
}
