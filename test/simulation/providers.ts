/**
 * What the world knows of every credential there is. `hub` is like a GitHub: a token is revoked by itself, at
 * once; `brief` is the same with a short life. `roles` is like an AWS: one document denies sessions of a role by name, after a while. Here is the
 * truth that the brokers' ledger is held against.
 */
import type { Chance } from './random.ts'

export type Minted = {
  provider: 'hub' | 'brief' | 'roles'
  /** The handle it was minted under: the lease's id. */
  lease: string
  secret: string
  items: readonly string[]
  role: string | undefined
  mintedAt: number
  expiresAt: number
  revokedAt: number | undefined
  /** Whether anybody was let in with it. */
  hasWorked: boolean
}

export type MintCall = {
  lease: string
  items: readonly string[]
  role?: string
  /** The call is signed to be refused from then on, virtual ms. */
  notAfter: number
  lifeMs: number
  /** What it carries itself: no use after this. */
  cutAt?: number
}

export type MintAnswer = { secret: string; items: readonly string[]; expiresAt: number }
export type Refusal = { refused: 'too_late' | 'not_permitted' }

/** More than one document may name: the rest is left out. */
const documentRoom = 40

export type Providers = ReturnType<typeof createProviders>

export function createProviders(options: {
  now: () => number
  chance: Chance
  onMint: (minted: Minted) => void
}) {
  const { now, chance } = options
  const bySecret = new Map<string, Minted>()
  const byLease = new Map<string, Minted[]>()
  /** By session: when it was denied everywhere, and until when a document said so. The last is the one in force. */
  const denials = new Map<string, { role: string; from: number; to: number }[]>()

  function isAlive(one: Minted, at = now()): boolean {
    if (at >= one.expiresAt || (one.revokedAt !== undefined && one.revokedAt <= at)) return false
    return !denials.get(one.lease)?.some(denial => denial.from <= at && at < denial.to)
  }

  return {
    isAlive,
    all: () => [...bySecret.values()],
    of: (lease: string): readonly Minted[] => byLease.get(lease) ?? [],
    alive: () => [...bySecret.values()].filter(one => isAlive(one)),
    bySecret: (secret: string) => bySecret.get(secret),

    mint(provider: Minted['provider'], call: MintCall, isWider: boolean): MintAnswer | Refusal {
      if (now() >= call.notAfter) return { refused: 'too_late' }
      if (call.items.includes('forbidden')) return { refused: 'not_permitted' }
      const secret = `${provider}-${Buffer.from(chance.bytes(12)).toString('hex')}`
      const items = isWider ? [...call.items, 'everything'] : call.items
      const expiresAt = Math.min(now() + call.lifeMs, call.cutAt ?? Number.POSITIVE_INFINITY)
      const { lease, role } = call
      const minted = {
        provider,
        lease,
        secret,
        items,
        role,
        mintedAt: now(),
        expiresAt,
        revokedAt: undefined,
        hasWorked: false,
      }
      bySecret.set(secret, minted)
      byLease.set(lease, [...(byLease.get(lease) ?? []), minted])
      options.onMint(minted)
      return { secret, items, expiresAt }
    },
    revoke(secret: string): 'revoked' | 'unauthorized' {
      const one = bySecret.get(secret)
      if (one === undefined || !isAlive(one)) return 'unauthorized'
      one.revokedAt = now()
      return 'revoked'
    },
    use: (secret: string): 'allowed' | 'denied' => {
      const one = bySecret.get(secret)
      if (one === undefined || !isAlive(one)) return 'denied'
      one.hasWorked = true
      return 'allowed'
    },
    /** The document says exactly this from now on; a denial takes up to five minutes to be everywhere. */
    writeDocument(role: string, leases: readonly string[]): { left: string[] } {
      const named = leases.slice(0, documentRoom)
      for (const [lease, all] of denials) {
        const last = all.at(-1)
        if (last !== undefined && last.role === role && last.to > now() && !named.includes(lease))
          last.to = now()
      }
      for (const lease of named) {
        const all = denials.get(lease) ?? []
        if ((all.at(-1)?.to ?? 0) > now()) continue
        const delay = chance.hits(0.7) ? chance.below(5_000) : chance.below(300_000)
        denials.set(lease, [...all, { role, from: now() + delay, to: Number.POSITIVE_INFINITY }])
      }
      return { left: leases.slice(documentRoom) }
    },
  }
}
