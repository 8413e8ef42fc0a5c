/**
 * Nonces of DPoP (RFC 9449 section 8) that nobody stores: a MAC of the time, so that every broker of a ledger knows
 * those of the others. A proof that was made before the nonce was handed out is of no use.
 */
import type { Broker } from '../broker.ts'

const WINDOW_MS = 150_000
const CHARACTERS = 32

type Keyed = Pick<Broker, 'keyring'>

/** @param now epoch ms */
export function dpopNonce({ keyring }: Keyed, now: number): string {
  return nonceOf({ keyring }, Math.floor(now / WINDOW_MS))
}

/** This window's or the last one's: a nonce is good for 150 to 300 seconds. */
export function isDpopNonce({ keyring }: Keyed, nonce: string, now: number): boolean {
  const window = Math.floor(now / WINDOW_MS)
  // One ahead: brokers' clocks differ by a second or two.
  return [window, window - 1, window + 1].some(one => nonceOf({ keyring }, one) === nonce)
}

function nonceOf({ keyring }: Keyed, window: number): string {
  return keyring.mac('dpop nonce', { window }).slice(-CHARACTERS)
}
