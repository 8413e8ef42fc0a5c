/**
 * The suite is worth what it catches: a sound issuer passes every rule, and each of these wrong ones, one
 * change away from it, is caught by the rule that it breaks.
 */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type Grant,
  type Issuer,
  type LeaseHandle,
  ProviderUnavailable,
  type Revocability,
} from '../../issuers/issuer.ts'
import { grouped, wrongGroups } from './grouped-locksmith.ts'
import { issuerChecks } from './issuer.ts'
import {
  type Change,
  type DoorAsk,
  doorAsk,
  type Locksmith,
  OWN_KEY,
  subjectWith,
  WINDOW_MS,
} from './locksmith.ts'

/** Names of the rules that this issuer breaks. */
async function broken(change: Change): Promise<string[]> {
  const names: string[] = []
  for (const { name, needless, run } of issuerChecks) {
    const subject = subjectWith(change)
    if (needless?.(subject) !== undefined) continue
    await run(subject).catch(() => names.push(name))
  }
  return names
}

const wider = z.object({ doors: z.array(z.string()).min(1), rank: z.enum(['read', 'write']) })

/** Rule, as its name begins, and what breaks it. */
const wrong: [rule: string, change: Change][] = [
  ['an ask with a key that it does not know', () => ({ ask: wider })],
  ['an ask that is no object', () => ({ ask: doorAsk.catch({ doors: ['front'], rank: 'read' }) })],
  [
    'a parsed ask survives the ledger',
    () => ({ ask: doorAsk.transform(ask => ({ ...ask, doors: ask.doors.map(door => `${door}!`) })) }),
  ],
  [
    'covers is reflexive',
    () => ({ covers: (ceiling, wanted) => ceiling.doors.length > wanted.doors.length }),
  ],
  [
    'covers is transitive',
    // Compared without case only where the ceiling has one entry: A covers a, and a does not cover what A does.
    ({ covers }) => ({
      covers: (ceiling, wanted) =>
        covers(ceiling, wanted) ||
        (ceiling.doors.length === 1 &&
          wanted.doors.join().toLowerCase() === ceiling.doors.join().toLowerCase()),
    }),
  ],
  [
    'covers is transitive',
    () => ({ covers: (ceiling, wanted) => wanted.doors.some(door => ceiling.doors.includes(door)) }),
  ],
  ['covers tells asks apart', () => ({ covers: () => true })],
  [
    'covers tells asks apart',
    () => {
      let calls = 0
      return { covers: () => calls++ % 3 > 0 }
    },
  ],
  [
    'facts never shrink upwards',
    ({ facts }) => ({ facts: ask => ({ ...facts(ask), mayLeaveAccess: ask.rank === 'read' }) }),
  ],
  [
    'facts never shrink upwards',
    ({ facts }) => ({ facts: ask => ({ ...facts(ask), phase: ask.doors.length > 1 ? 'read' : 'deploy' }) }),
  ],
  [
    'facts name a phase and a resource',
    ({ facts }) => ({ facts: ask => ({ ...facts(ask), resources: [] }) }),
  ],
  [
    'resolve never widens',
    () => ({ resolve: async ask => ({ ok: true, ask: { ...ask, doors: [...ask.doors, 'other'] } }) }),
  ],
  [
    'resolve never widens',
    ({ issue }, { now }) => ({
      async resolve(ask) {
        await issue(grantFor(ask, now))
        return { ok: true, ask }
      },
    }),
  ],
  [
    'resolve hands on a refusal',
    () => ({
      async resolve(ask, mintOwn) {
        await mintOwn(ask)
        return { ok: true, ask }
      },
    }),
  ],
  [
    'opening asks nothing',
    (_, locksmith) => {
      locksmith.probe('')
      return {}
    },
  ],
  [
    'a minted credential does what was asked',
    ({ issue }) => ({
      issue: grant => issue({ ...grant, ask: { doors: ['front', 'back'], rank: 'write' } }),
    }),
  ],
  [
    'a minted credential does what was asked',
    ({ issue }) => ({ issue: grant => issue({ ...grant, ask: { ...grant.ask, doors: ['side'] } }) }),
  ],
  [
    'what the provider granted is told',
    ({ issue }) => ({
      async issue(grant) {
        const issued = await issue(grant)
        return issued.ok
          ? { ...issued, granted: { doors: [...grant.ask.doors, 'back'], rank: 'read' } }
          : issued
      },
    }),
  ],
  ['the secret is in the form', () => ({ secretFormat: 'json' })],
  ['the life that is told', () => ({ longestLifeMs: 1_000 })],
  [
    'the life that is told',
    ({ issue }) => ({
      async issue(grant) {
        const issued = await issue(grant)
        // Mayfly's promise told as the provider's expiry: the key opens doors for another fifty minutes.
        return issued.ok ? { ...issued, providerExpiresAt: grant.expiresAt } : issued
      },
    }),
  ],
  ['the lease id can be found', ({ issue }) => ({ issue: grant => issue({ ...grant, lease: 'mayfly' }) })],
  ['an introspected credential names its lease', () => ({ revocability: 'introspected' })],
  ['probe says alive before the end', () => ({ probe: async () => 'dead' })],
  ['probe says alive before the end', () => ({ probe: async () => 'unknown' })],
  [
    'probe of a credential that only expires',
    () => ({ revocability: 'expiry_only', probe: async () => 'dead' }),
  ],
  ['a revoked credential is refused', () => ({ revoke: async () => 'revoked' })],
  [
    'revoking is idempotent',
    ({ revoke }) => {
      let done = false
      return {
        async revoke(lease) {
          if (done) throw new Error('already revoked')
          done = true
          return revoke(lease)
        },
      }
    },
  ],
  ['two mints at once', ({ issue }) => ({ issue: cachedByAsk(issue) })],
  [
    'two mints at once',
    ({ revoke }, locksmith) => ({
      async revoke(lease) {
        const answer = await revoke(lease)
        for (const key of locksmith.keys) key.revoked = true
        return answer
      },
    }),
  ],
  [
    'a refusal is a value',
    ({ issue }) => ({
      async issue(grant) {
        const issued = await issue(grant)
        if (!issued.ok) throw new Error(issued.detail)
        return issued
      },
    }),
  ],
  [
    'a refusal is a value',
    // Finds out by minting less and refusing afterwards.
    ({ issue }) => ({
      async issue(grant) {
        if (grant.ask.doors.includes('vault')) {
          await issue({ ...grant, ask: { ...grant.ask, doors: ['front'] } })
        }
        return issue(grant)
      },
    }),
  ],
  [
    'no mint after mintNotAfter by the own clock',
    ({ issue }, locksmith) => ({
      issue: grant => issue({ ...grant, mintNotAfter: locksmith.now + WINDOW_MS }),
    }),
  ],
  ['a mint while the provider is down', ({ issue }) => ({ issue: outageAsRefusal(issue) })],
  ['a mint whose answer is lost', ({ issue }) => ({ issue: triedAgain(issue) })],
  ['a mint whose answer is lost', ({ issue }) => ({ issue: outageAsRefusal(issue) })],
  [
    'a mint whose answer is lost',
    ({ issue }) => ({
      issue: grant =>
        issue(grant).catch(() => {
          throw new ProviderUnavailable('no answer', { nothingMinted: true })
        }),
    }),
  ],
  [
    'a mint whose answer cannot be read',
    (sound, locksmith) => ({
      async issue(grant) {
        if (typeof locksmith.mintReply === 'object') {
          const { body } = locksmith.mint(grant.ask, grant.lease, grant.mintNotAfter)
          throw new ProviderUnavailable(`cannot read ${body}`)
        }
        return sound.issue(grant)
      },
    }),
  ],
  [
    'a mint whose answer cannot be read',
    (sound, locksmith) => ({
      async issue(grant) {
        if (typeof locksmith.mintReply === 'object') {
          const answer = locksmith.mint(grant.ask, grant.lease, grant.mintNotAfter)
          throw Object.defineProperty(new ProviderUnavailable('cannot read the answer'), '$response', {
            value: answer,
            enumerable: false,
          })
        }
        return sound.issue(grant)
      },
    }),
  ],
  [
    'a mint that reaches the provider after mintNotAfter',
    // Checks its own clock, and signs for longer than that.
    (sound, locksmith) => ({
      async issue(grant) {
        if (locksmith.now >= grant.mintNotAfter) return sound.issue(grant)
        return sound.issue({ ...grant, mintNotAfter: grant.mintNotAfter + 600_000 })
      },
    }),
  ],
  [
    'a revocation while the provider is down',
    ({ revoke }) => ({ revoke: lease => revoke(lease).catch(() => 'revoked') }),
  ],
  [
    'a revocation while the provider is down',
    ({ revoke }) => ({
      revoke: lease =>
        revoke(lease).catch(() => {
          throw new ProviderUnavailable(`cannot revoke ${lease.secret?.reveal()}`)
        }),
    }),
  ],
  [
    'a probe while the provider is down',
    (_, locksmith) => ({
      probe: async lease => (!locksmith.down && alive(locksmith, lease) ? 'alive' : 'dead'),
    }),
  ],
  [
    'a revocation without the secret',
    ({ revoke }) => ({ revoke: async lease => (lease.secret ? revoke(lease) : 'already_gone') }),
  ],
  [
    'no secret prints',
    ({ issue }) => ({
      async issue(grant) {
        const issued = await issue(grant)
        return issued.ok ? { ...issued, details: { token: issued.secret.reveal() } } : issued
      },
    }),
  ],
  [
    'no secret prints',
    ({ issue }) => ({
      async issue(grant) {
        const issued = await issue(grant)
        return issued.ok ? issued : { ...issued, detail: `${issued.detail}, signed with ${OWN_KEY}` }
      },
    }),
  ],
  [
    'no secret prints',
    ({ issue }) => ({
      issue: grant =>
        issue(grant).catch(cause => {
          throw new ProviderUnavailable('no answer', {
            cause: { cause, request: { authorization: OWN_KEY } },
          })
        }),
    }),
  ],
]

function alive(locksmith: Locksmith, { secret }: LeaseHandle<DoorAsk>): boolean {
  return secret !== undefined && locksmith.probe(secret.reveal())
}

function grantFor(ask: DoorAsk, now: number): Grant<DoorAsk> {
  const until = now + WINDOW_MS
  return { lease: 'lse_own', ask, task: 't', agent: 'a', chain: [], expiresAt: until, mintNotAfter: until }
}

type Issue = Issuer<DoorAsk>['issue']

function cachedByAsk(issue: Issue): Issue {
  const cache = new Map<string, ReturnType<Issue>>()
  return grant => {
    const key = JSON.stringify(grant.ask)
    const cached = cache.get(key) ?? issue(grant)
    cache.set(key, cached)
    return cached
  }
}

function outageAsRefusal(issue: Issue): Issue {
  return grant =>
    issue(grant).catch(() => ({ ok: false, reason: 'rejected', detail: 'the locksmith said no' }))
}

function triedAgain(issue: Issue): Issue {
  return grant => issue(grant).catch(() => issue(grant))
}

const allWrong = [...wrong, ...wrongGroups]

describe('the issuer suite', () => {
  const revocabilities: Revocability[] = ['immediate', 'propagating']
  test.each(revocabilities)('a sound issuer breaks no rule (%s)', async revocability => {
    expect(await broken(() => ({ revocability }))).toEqual([])
  })

  test('a sound issuer that ends by one document breaks no rule', async () => {
    expect(await broken(grouped)).toEqual([])
  })

  test.each(allWrong.map(([rule, change], index) => ({ rule, change, index })))(
    'wrong issuer $index is caught: $rule',
    async ({ rule, change }) => {
      const names = await broken(change)
      expect(
        names.some(name => name.startsWith(rule)),
        `broken rules: ${inspect(names)}`,
      ).toBe(true)
    },
  )

  test('every rule has a wrong issuer that it catches', () => {
    const uncaught = issuerChecks.filter(({ name }) => !allWrong.some(([rule]) => name.startsWith(rule)))
    expect(uncaught.map(({ name }) => name)).toEqual([])
  })
})
