/** The smallest provider, a sound issuer for it, and a subject that changes that issuer in one place. */
import fc from 'fast-check'
import { z } from 'zod'
import { type Grant, type Issued, type Issuer, ProviderUnavailable } from '../../issuers/issuer.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import type { IssuerSubject } from './issuer-subject.ts'

const START = Date.parse('2026-05-01T12:00:00Z')
const LIFE_MS = 3_600_000
export const WINDOW_MS = 120_000
export const OWN_KEY = 'own-key-5c1d9a7e'

type Rank = 'read' | 'write'
export type DoorAsk = { doors: string[]; rank: Rank }
type Key = { token: string; doors: string[]; rank: Rank; handle: string; expiresAt: number; revoked: boolean }

/** Keys to doors, with a clock of its own and faults. */
export class Locksmith {
  now = START
  ahead = 0
  requests = 0
  keys: Key[] = []
  down = false
  mintReply: 'as it is' | 'lost' | { text: string } = 'as it is'

  clock(): number {
    return this.now + this.ahead
  }
  mint(ask: DoorAsk, handle: string, notAfter: number): { status: number; body: string } {
    this.#receive()
    if (this.clock() > notAfter) return { status: 401, body: 'too late' }
    if (ask.doors.includes('vault')) return { status: 403, body: 'not the vault' }
    const token = `key_${String(this.keys.length).padStart(4, '0')}_${'x'.repeat(40)}`
    this.keys.push({ token, ...ask, handle, expiresAt: this.clock() + LIFE_MS, revoked: false })
    if (this.mintReply === 'lost') throw new TypeError('socket closed')
    if (this.mintReply !== 'as it is') return { status: 201, body: this.mintReply.text }
    return { status: 201, body: JSON.stringify({ token }) }
  }
  revoke(token: string): number {
    this.#receive()
    const key = this.#alive(token)
    if (!key) return 401
    key.revoked = true
    return 204
  }
  /** A list of the keys that open nothing, and of no others. */
  list(leases: readonly string[]): void {
    this.#receive()
    for (const key of this.keys) key.revoked = leases.some(lease => key.handle.includes(lease))
  }
  /** Whose keys are on the list. */
  listed(): string[] {
    return this.keys.filter(key => key.revoked).map(({ handle }) => handle.replace('for ', ''))
  }
  open(token: string, door: string, rank: Rank): boolean {
    const key = this.#alive(token)
    return key?.doors.includes(door) === true && (rank === 'read' || key.rank === 'write')
  }
  probe(token: string): boolean {
    this.#receive()
    return this.#alive(token) !== undefined
  }
  isAlive(key: Key): boolean {
    return !key.revoked && this.clock() < key.expiresAt
  }
  #alive(token: string): Key | undefined {
    return this.keys.find(key => key.token === token && this.isAlive(key))
  }
  #receive(): void {
    this.requests += 1
    if (this.down) throw new TypeError('connection refused')
  }
}

export const doorAsk = z
  .strictObject({ doors: z.array(z.string()).min(1), rank: z.enum(['read', 'write']) })
  .transform((ask): DoorAsk => ({ doors: [...new Set(ask.doors)].sort(), rank: ask.rank }))

/** Sound in every rule. */
function soundIssuer(locksmith: Locksmith): Issuer<DoorAsk> {
  const reach = <Value>(call: () => Value): Value => {
    try {
      return call()
    } catch (cause) {
      throw new ProviderUnavailable('the locksmith gave no answer', { cause })
    }
  }
  return {
    revocability: 'immediate',
    secretFormat: 'token',
    holdsSecret: true,
    mintsLocally: false,
    mintWindowMs: WINDOW_MS,
    longestLifeMs: LIFE_MS,
    ask: doorAsk,
    async resolve(ask, mintOwn) {
      const own = await mintOwn({ ...ask, rank: 'read' })
      return own.ok ? { ok: true, ask } : own
    },
    covers: (ceiling, wanted) =>
      wanted.doors.every(door => ceiling.doors.includes(door)) &&
      (ceiling.rank === 'write' || wanted.rank === 'read'),
    facts: ask => ({
      phase: ask.rank === 'write' ? 'execute' : 'read',
      resources: ask.doors.map(door => ({ type: 'Door', id: door, name: door, parents: [] })),
      permissions: [ask.rank],
      mayLeaveAccess: ask.rank === 'write',
    }),
    async issue(grant) {
      if (locksmith.now >= grant.mintNotAfter)
        return { ok: false, reason: 'rejected', detail: 'too late to mint' }
      const { status, body } = reach(() =>
        locksmith.mint(grant.ask, `for ${grant.lease}`, grant.mintNotAfter),
      )
      if (status !== 201) return { ok: false, reason: 'not_permitted', detail: `the locksmith said: ${body}` }
      return issuedFrom(body, grant, locksmith)
    },
    async revoke(lease) {
      const { secret } = lease
      if (!secret) throw new ProviderUnavailable('no key to give back')
      return reach(() => locksmith.revoke(secret.reveal())) === 204 ? 'revoked' : 'already_gone'
    },
    async probe(lease) {
      if (!lease.secret) return 'unknown'
      try {
        return locksmith.probe(lease.secret.reveal()) ? 'alive' : 'dead'
      } catch {
        return 'unknown'
      }
    },
  }
}

function issuedFrom(body: string, { ask }: Grant<DoorAsk>, locksmith: Locksmith): Issued<DoorAsk> {
  let token = ''
  try {
    token = JSON.parse(body).token
  } catch {
    // The text may hold the key: it is not told, not even as a cause.
    throw new ProviderUnavailable('the answer of the locksmith cannot be read')
  }
  return { ok: true, secret: new Secret(token), granted: ask, providerExpiresAt: locksmith.clock() + LIFE_MS }
}

export type Change = (sound: Issuer<DoorAsk>, locksmith: Locksmith) => Partial<Issuer<DoorAsk>>

export function subjectWith(change: Change): IssuerSubject {
  const locksmith = new Locksmith()
  const sound = soundIssuer(locksmith)
  const issuer = { ...sound, ...change(sound, locksmith) }
  return {
    // The host, too, holds an issuer without knowing its ask.
    issuer: issuer as Issuer,
    asks: {
      granted: { doors: ['front'], rank: 'read' },
      refused: { doors: ['vault'], rank: 'read' },
      any: fc.record({
        doors: fc.subarray(['front', 'back', 'vault', 'Front'], { minLength: 1 }),
        rank: fc.constantFrom('read', 'write'),
      }),
    },
    use: async secret => (locksmith.open(secret, 'front', 'read') ? 'accepted' : 'refused'),
    useOutside: async secret =>
      locksmith.open(secret, 'back', 'read') || locksmith.open(secret, 'front', 'write')
        ? 'accepted'
        : 'refused',
    now: () => locksmith.now,
    advance: ms => {
      locksmith.now += ms
    },
    ownSecrets: [OWN_KEY],
    provider: {
      requests: () => locksmith.requests,
      given: () => locksmith.keys.map(key => ({ alive: locksmith.isAlive(key), handle: key.handle })),
      advance: ms => {
        locksmith.ahead += ms
      },
      async spoilGroup() {
        for (const key of locksmith.keys) key.revoked = false
      },
      goDown: () => {
        locksmith.down = true
      },
      loseMintReplies: () => {
        locksmith.mintReply = 'lost'
      },
      garbleMintReplies: text => {
        locksmith.mintReply = { text }
      },
      recover: () => {
        locksmith.down = false
        locksmith.mintReply = 'as it is'
      },
    },
    close: async () => {},
  }
}
