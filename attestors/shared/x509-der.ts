/**
 * Distinguished encoding (ITU-T X.690 sections 8 and 10), held to before anything else reads a certificate.
 *
 * The libraries that read certificates take more than DER, each in its own way: lengths of unknown end, lengths
 * written longer than they are, text in pieces. Two readers of one such certificate may see two certificates. In DER
 * there is one way to write a thing.
 */
export type Element = {
  tag: number
  /** With tag and length. */
  whole: Uint8Array
  content: Uint8Array
}

const MAX_DEPTH = 24
const MAX_ELEMENTS = 4_096

/** Whether it is one element of DER with nothing behind it, all the way down. */
export function isDer(bytes: Uint8Array): boolean {
  const budget = { left: MAX_ELEMENTS }
  const end = walk(bytes, 0, bytes.length, { depth: 0, budget })
  return bytes.length > 0 && end === bytes.length
}

/** The elements inside a constructed one, of bytes that {@link isDer} has accepted. */
export function elementsIn(content: Uint8Array): Element[] {
  const elements: Element[] = []
  for (let start = 0; start < content.length; ) {
    const head = readHead(content, start, content.length)
    if (head === undefined) return []
    const { tag, from, to } = head
    elements.push({ tag, whole: content.subarray(start, to), content: content.subarray(from, to) })
    start = to
  }
  return elements
}

type Place = { depth: number; budget: { left: number } }

/** @returns where the one element that begins at `start` ends; undefined where it is not DER. */
function walk(bytes: Uint8Array, start: number, limit: number, { depth, budget }: Place): number | undefined {
  const head = readHead(bytes, start, limit)
  budget.left -= 1
  if (head === undefined || depth > MAX_DEPTH || budget.left < 0) return undefined
  const { tag, from, to } = head
  if (!isConstructed(tag)) return isPrimitiveDer(tag, bytes.subarray(from, to)) ? to : undefined
  // Of the universal types only SEQUENCE and SET have parts in DER (section 10.2).
  if (isUniversal(tag) && tag !== SEQUENCE && tag !== SET) return undefined
  for (let at = from; at < to; ) {
    const end = walk(bytes, at, to, { depth: depth + 1, budget })
    if (end === undefined) return undefined
    at = end
  }
  return to
}

export const SEQUENCE = 0x30
const SET = 0x31
const isConstructed = (tag: number) => (tag & 0x20) !== 0
const isUniversal = (tag: number) => (tag & 0xc0) === 0

/** Tag and length: low tag numbers only, and the shortest form of a definite length (sections 8.1.2, 10.1). */
function readHead(bytes: Uint8Array, start: number, limit: number) {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined || start + 2 > limit || (tag & 0x1f) === 0x1f) return undefined
  const more = first & 0x7f
  if (first < 0x80) return inside({ tag, from: start + 2, length: first, limit })
  if (more < 1 || more > 4 || start + 2 + more > limit) return undefined
  let length = 0
  for (const byte of bytes.subarray(start + 2, start + 2 + more)) length = length * 256 + byte
  const isShortest = length >= 0x80 && bytes[start + 2] !== 0
  return isShortest ? inside({ tag, from: start + 2 + more, length, limit }) : undefined
}

function inside({ tag, from, length, limit }: { tag: number; from: number; length: number; limit: number }) {
  return from + length <= limit ? { tag, from, to: from + length } : undefined
}

/** Of the types whose content has one spelling in DER, that it is that one. */
function isPrimitiveDer(tag: number, content: Uint8Array): boolean {
  const [first, second] = content
  switch (tag) {
    case 0x01: // BOOLEAN, section 11.1
      return content.length === 1 && (first === 0x00 || first === 0xff)
    case 0x02: // INTEGER, section 8.3.2
      if (first === undefined) return false
      if (second === undefined) return true
      return !(first === 0x00 && second < 0x80) && !(first === 0xff && second >= 0x80)
    case 0x03: // BIT STRING, section 11.2.1: unused bits are zero
      if (first === undefined || first > 7) return false
      return content.length === 1 ? first === 0 : (content.at(-1)! & ((1 << first) - 1)) === 0
    case 0x05: // NULL
      return content.length === 0
    case 0x06: // OBJECT IDENTIFIER, section 8.19.2: no leading padding, and its last part ends
      return content.length > 0 && content.at(-1)! < 0x80 && isPlainObjectId(content)
    case 0x30: // primitive forms of these would be 0x10 and 0x11
    case 0x31:
      return false
    default:
      return tag !== 0x10 && tag !== 0x11 && tag !== 0x00
  }
}

function isPlainObjectId(content: Uint8Array): boolean {
  return content.every((byte, index) => byte !== 0x80 || (index > 0 && content[index - 1]! >= 0x80))
}
