/** What a human signs in for on their own machine: one request, as its digest in the nonce of their sign-in has it. */
import { canonicalDigest } from '../../canonical.ts'
import type { WantedAsk } from '../credentials/resolve-asks.ts'

export type SignedRequest = {
  purpose: string
  agent?: string | undefined
  minutes?: number | undefined
  asks: readonly WantedAsk[]
}

/** SHA-256, hex: of what is said to the human beside the address of the sign-in. */
export function signedForDigest({ purpose, agent, minutes, asks }: SignedRequest): string {
  const what = { purpose, agent: agent ?? null, minutes: minutes ?? null, asks }
  return canonicalDigest({ for: 'a task on a laptop', ...what })
}
