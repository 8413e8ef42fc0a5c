/**
 * Ids of everything the ledger keeps: a prefix and 26 characters, 48 bits of time (ms) and then 80 random
 * bits, in the lower-case Crockford alphabet (a ULID). They sort by the time they were made, and 26
 * characters of [0-9a-z] fit wherever a provider lets a handle be set.
 */
import type { RandomBytes } from './random.ts'

export const ID_PREFIXES = ['tsk', 'lse', 'ask', 'dec', 'tkt', 'opr', 'dlv', 'drl', 'rev', 'req'] as const
export type IdPrefix = (typeof ID_PREFIXES)[number]

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const latestMs = 2 ** 48 - 1

/** @throws RangeError where `now` is not a whole number of ms within 48 bits */
export function newId(prefix: IdPrefix, now: number, random: RandomBytes): string {
  if (!Number.isInteger(now) || now < 0 || now > latestMs) throw new RangeError('now is not epoch ms')
  const randomBits = BigInt(`0x${Buffer.from(random(10)).toString('hex')}`)
  return `${prefix}_${base32(BigInt(now), 10)}${base32(randomBits, 16)}`
}

/** Whether the text has the form of such an id; says nothing of whether it exists. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^.{4}[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text)
}

function base32(value: bigint, chars: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < chars; i++) {
    text = alphabet.charAt(Number(rest & 31n)) + text
    rest >>= 5n
  }
  return text
}
