/**
 * JSON as RFC 8259 and RFC 7493 have it, read once more and by other means than the attestors do: recursive descent,
 * token by token. Slow, and in no hurry.
 */
export type Read = null | boolean | string | Numeral | Read[] | Map<string, Read>
/** As it is written; what it is worth is for whoever needs it. */
export type Numeral = { digits: string }

/** @throws Error where it is no JSON object that two readers would read alike */
export function readStrictly(bytes: Uint8Array): Map<string, Read> {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  let at = 0
  const fail = (why: string): never => {
    throw new Error(`${why} at ${at}`)
  }
  const skip = () => {
    while (text[at] !== undefined && ' \t\n\r'.includes(text[at]!)) at += 1
  }
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const expect = (mark: string) => {
    skip()
    if (text[at] !== mark) fail(`no ${mark}`)
    at += 1
  }
  function string(): string {
    const literal = take(/"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y)
    if (literal === undefined) return fail('no string')
    if ([...literal].some(character => character < ' ')) fail('a control character')
    const value = literal
      .slice(1, -1)
      .replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_all, hex?: string, short?: string) =>
        hex === undefined ? (SHORT[short!] ?? short!) : String.fromCharCode(Number.parseInt(hex, 16)),
      )
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index)
      const next = value.charCodeAt(index + 1)
      if (code >= 0xd800 && code <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) index += 1
      else if (code >= 0xd800 && code <= 0xdfff) fail('half a surrogate pair')
    }
    return value
  }
  function object(depth: number): Map<string, Read> {
    const members = new Map<string, Read>()
    expect('{')
    skip()
    while (text[at] !== '}') {
      if (members.size > 0) expect(',')
      skip()
      const name = string()
      if (members.has(name)) fail('twice')
      if (name === '__proto__') fail('a name that copies lose')
      expect(':')
      members.set(name, value(depth + 1))
      skip()
    }
    at += 1
    return members
  }
  function list(depth: number): Read[] {
    const entries: Read[] = []
    expect('[')
    skip()
    while (text[at] !== ']') {
      if (entries.length > 0) expect(',')
      entries.push(value(depth + 1))
      skip()
    }
    at += 1
    return entries
  }
  function value(depth: number): Read {
    skip()
    if (text[at] === '{' || text[at] === '[') {
      if (depth >= MAX_DEPTH) fail('too deep')
      return text[at] === '{' ? object(depth) : list(depth)
    }
    if (text[at] === '"') return string()
    for (const [word, meaning] of WORDS) if (take(word) !== undefined) return meaning
    const digits = take(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y)
    if (digits === undefined) return fail('no value')
    if (!Number.isFinite(Number(digits))) fail('no finite number')
    return { digits }
  }
  skip()
  if (text[at] !== '{') fail('no object')
  const whole = object(0)
  skip()
  if (at !== text.length) fail('more behind it')
  return whole
}

const MAX_DEPTH = 16
const SHORT: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const WORDS = [
  [/true/y, true],
  [/false/y, false],
  [/null/y, null],
] as const
