/**
 * The rolling print: a number that is carried from one place of a text to the next in one step, so that every place
 * is looked at, whatever stands beside it. What fits by it is still to be held against the hash.
 */

/** Odd, so that no bit of an earlier byte falls out. */
const BASE = 0x0100_0193

/** 32 bits, unsigned. */
export function rollingPrint(bytes: Uint8Array): number {
  let print = 0
  for (const byte of bytes) print = (Math.imul(print, BASE) + byte + 1) | 0
  return print >>> 0
}

/** Every place at which so many bytes have one of these prints, first to last. */
export function eachPlace(
  bytes: Uint8Array,
  length: number,
  prints: ReadonlySet<number>,
  found: (start: number) => void,
): void {
  if (length === 0 || bytes.length < length) return
  let outgoing = 1
  for (let i = 0; i < length; i += 1) outgoing = Math.imul(outgoing, BASE)
  // Nearly no place passes this, and it costs a hundredth of a look into the set.
  const low = new Uint8Array(0x1_0000)
  for (const print of prints) low[print & 0xffff] = 1
  let print = 0
  for (let end = 0; end < bytes.length; end += 1) {
    print = (Math.imul(print, BASE) + bytes[end]! + 1) | 0
    const start = end - length + 1
    if (start > 0) print = (print - Math.imul(outgoing, bytes[start - 1]! + 1)) | 0
    if (start >= 0 && low[print & 0xffff] === 1 && prints.has(print >>> 0)) found(start)
  }
}
