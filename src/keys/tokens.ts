/**
 * Tokens that Mayfly hands out and recognises again: prefix, 256 random bits in base62 (43 characters), and
 * a CRC-32 of the two in base62 (6 characters), so that secret scanners find them and typing errors are told
 * from forgeries without a look into the ledger.
 */
import { crc32 } from 'node:zlib'
import { Secret } from '../../issuers/shared/secret.ts'
import type { RandomBytes } from './random.ts'

export const TOKEN_PREFIXES = { task: 'mft_', ticket: 'mfk_', operator: 'mfo_', session: 'mfs_' } as const
export type TokenKind = keyof typeof TOKEN_PREFIXES

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const bodyChars = 43
const checksumChars = 6
const shape = /^(mft|mfk|mfo|mfs)_[0-9A-Za-z]{49}$/

export function newToken(kind: TokenKind, random: RandomBytes): Secret {
  const bits = BigInt(`0x${Buffer.from(random(32)).toString('hex')}`)
  const body = TOKEN_PREFIXES[kind] + base62(bits, bodyChars)
  return new Secret(body + checksum(body))
}

/** Prefix, length, alphabet and checksum only: whether such a token was ever given is the ledger's to say. */
export function parseToken(text: string): { kind: TokenKind } | undefined {
  if (!shape.test(text)) return undefined
  const body = text.slice(0, -checksumChars)
  if (checksum(body) !== text.slice(-checksumChars)) return undefined
  const kinds = Object.keys(TOKEN_PREFIXES) as TokenKind[]
  const kind = kinds.find(name => body.startsWith(TOKEN_PREFIXES[name]))
  return kind === undefined ? undefined : { kind }
}

function checksum(body: string): string {
  return digits(crc32(body), checksumChars)
}

/** As many digits at a time as a double holds exactly: big integers are slow to divide. */
const stepChars = 8
const step = 62n ** BigInt(stepChars)

function base62(value: bigint, chars: number): string {
  let rest = value
  let text = ''
  while (text.length < chars) {
    text = digits(Number(rest % step), Math.min(stepChars, chars - text.length)) + text
    rest /= step
  }
  return text
}

function digits(value: number, chars: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < chars; i++) {
    text = alphabet.charAt(rest % 62) + text
    rest = Math.floor(rest / 62)
  }
  return text
}
