import type { Credential } from './credential.ts'
import { orAborted } from './world.ts'

export type HeldCredentials = {
  /**
   * The one held for this ask, or a new one where that has less life left. One is minted at a time for each ask;
   * whoever asks meanwhile waits for the same. A signal ends the waiting, not the minting.
   */
  get(ask: string, want: { atLeastMs: number; signal?: AbortSignal | undefined }): Promise<Credential>
  put(credential: Credential): void
  /** Unless another has taken its place. */
  forget(ask: string, lease: string): void
  drop(): void
}

export type Minting = {
  mint(ask: string): Promise<Credential>
  /** By the broker's clock, epoch ms. */
  now(): number
  /** Of the task, epoch ms. */
  deadline(): number
}

export function holdCredentials({ mint, now, deadline }: Minting): HeldCredentials {
  const held = new Map<string, { credential: Credential; lifeMs: number }>()
  const underWay = new Map<string, Promise<Credential>>()
  let isDropped = false

  function fresh(ask: string, atLeastMs: number): Credential | undefined {
    const have = held.get(ask)
    if (have === undefined) return undefined
    const end = have.credential.expiresAt.getTime()
    const left = end - now()
    if (left <= 0) return undefined
    // A new one would live no longer. Some providers tell whole seconds.
    if (end > deadline() - 1_000) return have.credential
    // What is never given that much life is replaced at half of it, not at every call.
    return left >= Math.min(atLeastMs, have.lifeMs / 2) ? have.credential : undefined
  }

  function put(credential: Credential): void {
    if (isDropped) return
    held.set(credential.ask, { credential, lifeMs: credential.expiresAt.getTime() - now() })
  }

  function mintOnce(ask: string): Promise<Credential> {
    const before = underWay.get(ask)
    if (before !== undefined) return before
    const minting = mint(ask)
      .then(credential => {
        put(credential)
        return credential
      })
      .finally(() => underWay.delete(ask))
    underWay.set(ask, minting)
    return minting
  }

  return {
    async get(ask, { atLeastMs, signal }) {
      signal?.throwIfAborted()
      return fresh(ask, atLeastMs) ?? orAborted(mintOnce(ask), signal)
    },
    put,
    forget(ask, lease) {
      if (held.get(ask)?.credential.lease === lease) held.delete(ask)
    },
    drop() {
      isDropped = true
      held.clear()
    },
  }
}
