/**
 * Tokens that Mayfly hands out and recognises again: prefix, the moment in ms (8 characters of base62), 208 random bits
 * (35), and a CRC-32 of all before (6), so that secret scanners find them and typing errors are told from forgeries
 * without a look into the ledger.
 */
import { crc32 } from 'node:zlib'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Keyring } from './keyring.ts'
import type { RandomBytes } from './random.ts'

export const TOKEN_PREFIXES = { task: 'mft_', ticket: 'mfk_', operator: 'mfo_', session: 'mfs_' } as const
export type TokenKind = keyof typeof TOKEN_PREFIXES

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const momentChars = 8
const randomBytes = 26
const randomChars = 35
const checksumChars = 6
const shape = /^(mft|mfk|mfo|mfs)_[0-9A-Za-z]{49}$/

/** @param now epoch ms */
export function newToken(kind: TokenKind, now: number, random: RandomBytes): Secret {
  const bits = BigInt(`0x${Buffer.from(random(randomBytes)).toString('hex')}`)
  const body = TOKEN_PREFIXES[kind] + digits(now, momentChars) + base62(bits, randomChars)
  return new Secret(body + checksum(body))
}

/**
 * What a task is found by. The moment stands in front, so that those of one hour are neighbours in the index: by the
 * hash alone every new task would write a page of its own.
 */
export function taskTokenHash(keyring: Pick<Keyring, 'tokenHash'>, token: string): string {
  const { length } = TOKEN_PREFIXES.task
  return `${token.slice(length, length + momentChars)}.${keyring.tokenHash(token)}`
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
