/** The signing keys, a set for each purpose: no key of one signs or verifies for another. */
import { createSigningKeys, type SigningKeys } from './keys/signing-keys.ts'
import type { Limits } from './limits.ts'

export type KeySets = {
  /** Of JWTs for tasks. */
  keys: SigningKeys
  /** Of receipts alone. */
  receiptKeys: SigningKeys
  /** Of what Mayfly itself is recognised by at a cloud provider, under an issuer of its own. */
  webIdentityKeys: SigningKeys
}

type Store = Omit<Parameters<typeof createSigningKeys>[0], 'purpose' | 'rotation'>

export function openKeySets(store: Store, limits: Limits): KeySets {
  const open = (
    purpose: Parameters<typeof createSigningKeys>[0]['purpose'],
    rotateAfterMs: number,
    longestTokenMs: number,
  ) => {
    const publishAheadMs = limits.signingKeyPublishAheadMs
    return createSigningKeys({
      ...store,
      purpose,
      rotation: { rotateAfterMs, publishAheadMs, longestTokenMs },
    })
  }
  return {
    keys: open('task-jwt', limits.signingKeyRotateAfterMs, limits.taskJwtMs),
    receiptKeys: open('receipt', limits.receiptKeyRotateAfterMs, limits.receiptKeyPublishedMs),
    webIdentityKeys: open('web-identity', limits.signingKeyRotateAfterMs, limits.webIdentityMs),
  }
}

export function everyKeySet({ keys, receiptKeys, webIdentityKeys }: KeySets): SigningKeys[] {
  return [keys, receiptKeys, webIdentityKeys]
}
