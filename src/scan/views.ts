/**
 * The ways in which a secret stands in a text: as it is, split over lines, escaped, in base64, in UTF-16. Each view
 * is bytes, and where each of them comes from.
 */
export type View = {
  bytes: Uint8Array
  via: 'plain' | 'split' | 'escaped' | 'base64' | 'utf-16'
  /** The place in the text that a place in the view comes from. */
  at(place: number): number
}

/** @param shortest of what is looked for, bytes: shorter runs are not decoded. */
export function* viewsOf(text: Uint8Array, shortest: number): Generator<View> {
  yield { bytes: text, via: 'plain', at: place => place }
  if (text.includes(0)) yield filtered(text, 'utf-16', (bytes, place) => (bytes[place] === 0 ? 1 : 0))
  const joined = text.includes(NEWLINE) ? filtered(text, 'split', breakAt) : undefined
  if (joined !== undefined) yield joined
  const whole = joined ?? { bytes: text, via: 'plain', at: (place: number) => place }
  if (text.includes(BACKSLASH) || text.includes(PERCENT)) yield unescaped(whole)
  yield* decoded(whole, Math.max(shortest, 16))
}

const code = (sign: string) => sign.charCodeAt(0)
const [NEWLINE, BACKSLASH, PERCENT] = ['\n', '\\', '%'].map(code) as [number, number, number]
const SPACE = new Set([' ', '\t', '\r'].map(code))
const QUOTES = new Set(['"', "'", '`'].map(code))
const JOINS = new Set(['+', '.', '&', ',', '\\'].map(code))

/** Without the runs that `skip` counts. */
function filtered(
  text: Uint8Array,
  via: View['via'],
  skip: (text: Uint8Array, place: number) => number,
): View {
  const bytes = new Uint8Array(text.length)
  const origins = new Uint32Array(text.length)
  let length = 0
  for (let place = 0; place < text.length; ) {
    const skipped = skip(text, place)
    if (skipped > 0) place += skipped
    else {
      bytes[length] = text[place]!
      origins[length] = place
      length += 1
      place += 1
    }
  }
  return { bytes: bytes.subarray(0, length), via, at: place => origins[Math.min(place, length - 1)] ?? 0 }
}

/**
 * How long the break is that begins here: white space with a line's end in it, and around it what a language puts
 * together a text with that was split (`"..." +`, a backslash).
 */
function breakAt(text: Uint8Array, place: number): number {
  const first = text[place]!
  if (first !== NEWLINE && first !== BACKSLASH && !SPACE.has(first) && !QUOTES.has(first)) return 0
  const isQuoted = QUOTES.has(first)
  let end = isQuoted ? place + 1 : place
  const pass = (signs: ReadonlySet<number>) => {
    while (end < text.length && end - place < LONGEST_BREAK && signs.has(text[end]!)) end += 1
  }
  pass(SPACE)
  if (isQuoted || text[end] === BACKSLASH) pass(JOINS)
  pass(SPACE)
  if (text[end] !== NEWLINE) return 0
  pass(BREAKS)
  if (!isQuoted) return end - place
  pass(JOINS)
  pass(SPACE)
  return QUOTES.has(text[end] ?? 0) ? end + 1 - place : 0
}

const BREAKS = new Set([...SPACE, NEWLINE])
const LONGEST_BREAK = 256

/** `%2B`, `\/`, `\u002b`, `\n`: what URLs and JSON write for one sign. */
function unescaped({ bytes: text, at }: Pick<View, 'bytes' | 'at'>): View {
  const bytes = new Uint8Array(text.length)
  const origins = new Uint32Array(text.length)
  let length = 0
  for (let place = 0; place < text.length; length += 1) {
    const [byte, taken] = escapeAt(text, place)
    bytes[length] = byte
    origins[length] = place
    place += taken
  }
  return {
    ...{ bytes: bytes.subarray(0, length), via: 'escaped' },
    at: place => at(origins[Math.min(place, length - 1)] ?? 0),
  }
}

function escapeAt(text: Uint8Array, place: number): [byte: number, taken: number] {
  const first = text[place]!
  const hex = (from: number, digits: number) => {
    let value = 0
    for (let index = from; index < from + digits; index += 1) {
      const digit = Number.parseInt(String.fromCharCode(text[index] ?? 0), 16)
      if (Number.isNaN(digit)) return undefined
      value = value * 16 + digit
    }
    return value
  }
  if (first === PERCENT) {
    const byte = hex(place + 1, 2)
    return byte === undefined ? [first, 1] : [byte, 3]
  }
  if (first !== BACKSLASH) return [first, 1]
  if (text[place + 1] === code('u')) {
    const point = hex(place + 2, 4)
    return point === undefined || point > 0x7f ? [first, 1] : [point, 6]
  }
  return text[place + 1] === code('/') ? [code('/'), 2] : [first, 1]
}

/** Each run of base64, from each of the four places at which what was encoded may begin. */
function* decoded({ bytes: text, at }: Pick<View, 'bytes' | 'at'>, shortest: number): Generator<View> {
  const least = Math.ceil((shortest * 4) / 3)
  for (let start = 0; start < text.length; ) {
    let end = start
    while (end < text.length && IN_BASE64[text[end]!] === 1) end += 1
    if (end - start >= least)
      for (let shift = 0; shift < 4; shift += 1) {
        const from = start + shift
        const bytes = Buffer.from(Buffer.from(text.subarray(from, end)).toString('latin1'), 'base64')
        yield { bytes, via: 'base64', at: place => at(from + Math.floor((place * 4) / 3)) }
      }
    start = end + 1
  }
}

const IN_BASE64 = new Uint8Array(256)
for (const sign of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')
  IN_BASE64[code(sign)] = 1
