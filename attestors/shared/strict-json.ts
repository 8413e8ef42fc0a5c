/**
 * JSON as RFC 8259 wants it and as RFC 7493 (I-JSON) narrows it. `JSON.parse` alone takes the last of two
 * members of one name, reads 1e400 as infinity, and accepts lone surrogates: each lets two readers of one
 * token see two different tokens. So does a member called `__proto__`, which a copy of the object loses.
 */
export type JsonValue = string | number | bigint | boolean | null | JsonValue[] | JsonObject
export type JsonObject = { [name: string]: JsonValue }

export const MAX_JSON_DEPTH = 16

/** What was wrong, in our own words: the text itself is never part of it. */
export class StrictJsonError extends Error {
  override name = 'StrictJsonError'
}

/**
 * Parses UTF-8 bytes or text into an object. Integers that a double cannot hold exactly come back as bigint,
 * so that a reader who expects a number refuses them and one who expects 64 bits (SPIFFE) reads them right.
 *
 * @throws StrictJsonError on a byte order mark, invalid UTF-8, a duplicate member, one called `__proto__`, nesting deeper than
 * {@link MAX_JSON_DEPTH}, a number that is not finite, a lone surrogate, or anything but an object.
 */
export function parseStrictJsonObject(input: Uint8Array | string): JsonObject {
  const value = parseStrictJson(input)
  if (!isJsonObject(value)) throw new StrictJsonError('not a JSON object')
  return value
}

/** The same for any JSON value. */
export function parseStrictJson(input: Uint8Array | string): JsonValue {
  const text = typeof input === 'string' ? input : decodeUtf8(input)
  // First, because the scan below is linear on valid JSON only. V8 parses nesting without recursion.
  const value = parse(text)
  const { hasLargeInteger } = checkTokens(text)
  return hasLargeInteger ? parse(text, keepExactIntegers) : value
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An own member, never one of the prototype's. */
export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // ignoreBOM keeps the mark in the text, where JSON.parse refuses it.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StrictJsonError('not UTF-8')
  }
}

function parse(text: string, reviver?: typeof keepExactIntegers): JsonValue {
  try {
    return JSON.parse(text, reviver) as JsonValue
  } catch {
    throw new StrictJsonError('not JSON')
  }
}

/** Looks at the tokens of text that is known to be JSON, so that where one ends need not be guessed. */
function checkTokens(text: string): { hasLargeInteger: boolean } {
  demandWellFormed(text)
  const isPlain = !text.includes('\\')
  const names: (Set<string> | undefined)[] = []
  let hasLargeInteger = false
  let at = 0
  while (at < text.length) {
    const start = at
    const code = text.charCodeAt(at)
    at += 1
    if (code === QUOTE) {
      at = isPlain ? text.indexOf('"', at) + 1 : endOfString(text, start)
      const isMember = isName(text, at)
      // What is escaped is looked at wherever it stands.
      if (!isMember && isPlain) continue
      const decoded = isPlain ? text.slice(start + 1, at - 1) : decodeString(text, start, at)
      if (!isMember) continue
      const seen = names.at(-1)
      if (seen?.has(decoded)) throw new StrictJsonError('a member is given twice')
      if (decoded === '__proto__') throw new StrictJsonError('a member is called __proto__')
      seen?.add(decoded)
    } else if (code === MINUS || isDigit(code)) {
      at = endOfNumber(text, start)
      const number = text.slice(start, at)
      const value = Number(number)
      if (!Number.isFinite(value)) throw new StrictJsonError('a number is out of range')
      if (!Number.isSafeInteger(value) && INTEGER.test(number)) hasLargeInteger = true
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      names.push(code === OPEN_BRACE ? new Set() : undefined)
      if (names.length > MAX_JSON_DEPTH) throw new StrictJsonError(`deeper than ${MAX_JSON_DEPTH} levels`)
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) names.pop()
  }
  return { hasLargeInteger }
}

/** @param start of the opening quote. @returns just past the closing one. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let slashes = quote
    while (text.charCodeAt(slashes - 1) === BACKSLASH) slashes -= 1
    // A quote after an even number of backslashes is not escaped by the last of them.
    if ((quote - slashes) % 2 === 0) return quote + 1
  }
}

function decodeString(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1)
  if (!inner.includes('\\')) return inner
  const decoded = JSON.parse(text.slice(start, end)) as string
  demandWellFormed(decoded)
  return decoded
}

function demandWellFormed(text: string): void {
  if (!text.isWellFormed()) throw new StrictJsonError('a string is not well-formed Unicode')
}

/** A string is a member's name where a colon follows. */
function isName(text: string, end: number): boolean {
  let at = end
  while (text.charCodeAt(at) <= SPACE) at += 1
  return text.charCodeAt(at) === COLON
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1
  while (isDigit(text.charCodeAt(at)) || '+-.Ee'.includes(text[at] ?? ' ')) at += 1
  return at
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

const SPACE = 0x20
const QUOTE = 0x22
const MINUS = 0x2d
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

const INTEGER = /^-?\d+$/

/** The third argument is the standard's source text access (ECMA-262 2026), not yet in TypeScript's es2024. */
function keepExactIntegers(_name: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source ?? ''
  return INTEGER.test(source) ? BigInt(source) : value
}
