import { createPrivateKey, type KeyObject } from 'node:crypto'
import keys from './standing-keys.json' with { type: 'json' }

/**
 * RSA keys that are the same in every run, one for each stand-in: to make one costs every installation a tenth
 * of a second. They open nothing but stand-ins. Whoever plays an attacker, and whatever comes after a rotation,
 * has a key of its own.
 */
export function standingKey(of: keyof typeof keys): KeyObject {
  return createPrivateKey({ key: keys[of], format: 'jwk' })
}
