/**
 * Ids of everything the ledger keeps: a prefix and 26 characters, 48 bits of time (ms) and then 80 random
 * bits, in the lower-case Crockford alphabet (a ULID). They sort by the time they were made, and 26
 * characters of [0-9a-z] fit wherever a provider lets a handle be set.
 */
import type { RandomBytes } from './random.ts'

export const ID_PREFIXES = [
  'apr',
  'pre',
  'tsk',
  'lse',
  'ask',
  'dec',
  'tkt',
  'opr',
  'dlv',
  'drl',
  'rev',
  'req',
  'ops',
  'chl',
  'chg',
] as const
export type IdPrefix = (typeof ID_PREFIXES)[number]

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const latestMs = 2 ** 48 - 1

/** @throws RangeError where `now` is not a whole number of ms within 48 bits */
export function newId(prefix: IdPrefix, now: number, random: RandomBytes): string {
  if (!Number.isInteger(now) || now < 0 || now > latestMs) throw new RangeError('now is not epoch ms')
  return `${prefix}_${timeChars(now)}${base32(random(10))}`
}

/** Whether the text has the form of such an id; says nothing of whether it exists. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^.{4}[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text)
}

function timeChars(now: number): string {
  let rest = now
  let text = ''
  for (let i = 0; i < 10; i++) {
    text = alphabet.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}

/** Five bits a character, first bit first. Of ten bytes nothing is left over. */
function base32(bytes: Uint8Array): string {
  let text = ''
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet.charAt((held >> bits) & 31)
    }
    held &= (1 << bits) - 1
  }
  return text
}
