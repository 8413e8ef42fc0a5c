/** What is special to ending AWS sessions one by one; the rest is the suite's. */
import { createHash } from 'node:crypto'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type GroupMember, type Issuer, type LeaseHandle, observed } from '../../issuers/issuer.ts'
import type { AwsAsk } from '../../issuers/shared/aws-ask.ts'
import { policyCharacters } from '../../issuers/shared/aws-deny-policy.ts'
import { describeIssuer } from '../conformance/issuer.ts'
import { AwsWorld, BROKER_KEY, type SessionKeys } from './aws-world.ts'
import { faultControls } from './stand-in.ts'

const ROLE = 'arn:aws:iam::123456789012:role/deploy'

describeIssuer('aws-sts with revocation', async () => {
  const world = await AwsWorld.start()
  const { aws, clocks } = world
  return {
    issuer: world.openRevoking(),
    asks: {
      granted: world.readArtifacts(),
      refused: world.readArtifacts({ role: world.lockedRole }),
      any: fc.record({
        role: fc.constantFrom(ROLE, `${ROLE}-2`),
        statements: fc.array(
          fc.record({
            actions: fc.subarray(['s3:GetObject', 's3:Get*', 's3:*', '*'], { minLength: 1, maxLength: 2 }),
            resources: fc.subarray(['*', 'arn:aws:s3:::a/*', 'arn:aws:s3:::a/b'], {
              minLength: 1,
              maxLength: 2,
            }),
          }),
          { minLength: 1, maxLength: 2 },
        ),
        allow_role_chaining: fc.boolean(),
      }),
    },
    use: secret => world.read(secret),
    useOutside: secret => world.write(secret),
    now: clocks.broker,
    advance: ms => clocks.advance(ms),
    ownSecrets: [BROKER_KEY.SecretAccessKey],
    provider: {
      requests: () => world.host.counted.requests,
      given: () => aws.credentials().map(({ alive, sessionName }) => ({ alive, handle: sessionName })),
      advance: ms => clocks.advanceProvider(ms),
      async spoilGroup() {
        await world.interfere('mayfly-aws-user-1', { Version: '2012-10-17', Statement: [ALLOW_NOTHING] })
        await world.interfere('mayfly-aws-source-1')
      },
      ...faultControls(aws, 'AssumeRole', 200),
    },
    close: () => world.close(),
  }
})

/** Sessions that AWS's 10,240 characters hold at once, where the role has no inline policy of its own. */
const ROOM = 182

const ALLOW_NOTHING = { Effect: 'Deny', Action: 'ec2:RunInstances', Resource: '*' }

describe('aws-sts with revocation', () => {
  let world: AwsWorld
  let issuer: Issuer<AwsAsk>
  beforeEach(async () => {
    world = await AwsWorld.start()
    issuer = world.openRevoking()
  })
  afterEach(() => world.close())

  const leaseId = (n: number) => `lse_${String(n).padStart(26, '0')}`
  const member = (n: number, over: Partial<GroupMember<AwsAsk>> = {}): GroupMember<AwsAsk> => ({
    lease: leaseId(n),
    ask: issuer.ask.parse(world.readArtifacts()),
    issuedBy: world.clocks.broker(),
    told: false,
    ...over,
  })
  const members = (count: number, from = 0) => Array.from({ length: count }, (_, n) => member(from + n))
  const write = (list: readonly GroupMember<AwsAsk>[], of = issuer) =>
    of.revokeGroup!(ROLE, list, world.clocks.broker() + 60_000)
  const writes = () => {
    const counted: string[] = []
    world.aws.faults = ({ operation, when }) => {
      if (when === 'before' && /^(Put|Delete)RolePolicy$/.test(operation)) counted.push(operation)
      return 'ok'
    }
    return counted
  }
  const session = async (n: number, over: object = {}) => {
    const issued = await world.issued(issuer, world.readArtifacts(over), 60, leaseId(n))
    const handle: LeaseHandle<AwsAsk> = {
      lease: leaseId(n),
      ask: issued.granted,
      secret: issued.secret,
      providerExpiresAt: issued.providerExpiresAt,
    }
    return { ...issued, handle }
  }

  test('two sessions of one role, one ended: the first is denied everything, the second goes on', async () => {
    const [first, second] = [await session(1), await session(2)]
    await write([member(1)])
    expect(await world.read(first.secret.reveal())).toBe('refused')
    expect(await world.read(second.secret.reveal())).toBe('accepted')
    // The one call that no deny reaches, and that therefore proves nothing.
    const { Arn } = await new STSClient(first.config).send(new GetCallerIdentityCommand({}))
    expect(Arn).toContain(leaseId(1))
  })

  test('the document names the session by the id of its role, and its source identity beside it', async () => {
    await write([member(1)])
    const policies = await world.policies()
    const deny = (condition: object) => ({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Deny', Action: '*', Resource: '*', Condition: { StringEquals: condition } }],
    })
    expect([...policies.keys()]).toEqual(['mayfly-aws-source-1', 'mayfly-aws-user-1'])
    expect(JSON.parse(policies.get('mayfly-aws-user-1')!)).toEqual(
      deny({ 'aws:userid': [expect.stringMatching(new RegExp(`^AROA.{16}:${leaseId(1)}$`))] }),
    )
    expect(JSON.parse(policies.get('mayfly-aws-source-1')!)).toEqual(
      deny({ 'aws:SourceIdentity': [leaseId(1)] }),
    )
  })

  test('what is as it should be is not written again, and what is over is taken out', async () => {
    const counted = writes()
    await write(members(3))
    expect(counted).toHaveLength(2)
    await write(members(3))
    expect(counted).toHaveLength(2)
    await write([member(2)])
    expect(counted).toHaveLength(4)
    expect([...(await world.policies()).values()].join()).not.toContain(leaseId(1))
    await write([])
    expect(await world.policies()).toEqual(new Map())
  })

  test('policies of others are left alone, and counted', async () => {
    const theirs = { Version: '2012-10-17', Statement: [{ ...ALLOW_NOTHING, Sid: 'x'.repeat(8_000) }] }
    await world.interfere('theirs', theirs)
    await world.interfere('mayfly-aws-notes', { Version: '2012-10-17', Statement: [ALLOW_NOTHING] })
    const { left } = await write(members(100))
    expect(left.length).toBeGreaterThan(50)
    const policies = await world.policies()
    expect(JSON.parse(policies.get('theirs')!)).toEqual(theirs)
    expect(policies.has('mayfly-aws-notes')).toBe(true)
  })

  describe('2,000 ended sessions of one role', () => {
    test('as many as fit are denied, in several policies; the rest are told of, and come in as room is made', async () => {
      const counted = writes()
      const { left, because } = await write(members(2_000))
      expect(left.length).toBe(2_000 - ROOM)
      expect(because).toContain('more roles')
      expect(counted).toEqual(['PutRolePolicy', 'PutRolePolicy', 'PutRolePolicy'])
      const policies = [...(await world.policies()).values()]
      expect(policies.reduce((sum, text) => sum + policyCharacters(text), 0)).toBeLessThanOrEqual(10_240)

      // Who is denied stays denied, whoever is more important now; half of them are over.
      const out = new Set(left)
      const told = members(2_000).filter(({ lease }) => !out.has(lease))
      const alive = told.slice(90).map(one => ({ ...one, told: true }))
      const newer = members(50, 5_000)
      const next = await write([...newer, ...alive, ...members(2_000).filter(({ lease }) => out.has(lease))])
      const denied = [...(await world.policies()).values()].join()
      expect([...alive, ...newer].every(({ lease }) => denied.includes(lease))).toBe(true)
      expect(next.left.length).toBe(2_000 - ROOM - 40)
    })

    test('with when_full: deny_older all are denied, and with them whoever is older on that role', async () => {
      const denying = world.openRevoking({ when_full: 'deny_older' })
      const old = await session(1_999)
      const sibling = await session(9_000)
      world.clocks.advance(10 * 60_000)
      const young = await session(9_001)
      const before = world.clocks.broker() - 10 * 60_000
      const list = members(2_000).map(one => ({ ...one, issuedBy: before }))
      expect(await write(list, denying)).toEqual({ left: [] })
      expect(await world.read(old.secret.reveal())).toBe('refused')
      expect(await world.read(sibling.secret.reveal())).toBe('refused')
      expect(await world.read(young.secret.reveal())).toBe('accepted')
      // It stays while one whom it ended may be alive, though there is room now.
      await write(list.slice(0, 3), denying)
      expect(await world.read(old.secret.reveal())).toBe('refused')
      await write([member(3)], denying)
      expect([...(await world.policies()).keys()]).not.toContain('mayfly-aws-older')
    })
  })

  describe('after the ledger was put back', () => {
    const rewrite = (
      list: readonly GroupMember<AwsAsk>[],
      of: Issuer<AwsAsk>,
      forgotten: readonly string[],
    ) =>
      of.revokeGroup!(ROLE, list, world.clocks.broker() + 60_000, async leases =>
        leases
          .filter(lease => forgotten.includes(lease))
          .map(lease => ({ lease, issuedBy: world.clocks.broker() })),
      )
    const denied = async () => [...(await world.policies()).values()].join()
    const forgotten = () => members(ROOM)

    test('members come before those who are kept, who give way one by one, and it is told', async () => {
      await write(forgotten())
      const names = forgotten().map(({ lease }) => lease)
      const news = members(10, 5_000)
      const { left, because } = await rewrite(news, issuer, names)
      expect(left).toHaveLength(10)
      expect(left.every(lease => names.includes(lease))).toBe(true)
      expect(because).toContain('more roles')
      const text = await denied()
      expect(news.every(({ lease }) => text.includes(lease))).toBe(true)
      expect(names.filter(lease => text.includes(lease))).toHaveLength(ROOM - 10)
      expect(policyCharacters(text)).toBeLessThanOrEqual(10_240)
    })

    test('with when_full: deny_older those who give way are denied by the time of the announcement', async () => {
      const denying = world.openRevoking({ when_full: 'deny_older' })
      const early = await session(0)
      await write(members(170), denying)
      expect([...(await world.policies()).keys()]).not.toContain('mayfly-aws-older')
      world.clocks.advance(5 * 60_000)
      const at = world.clocks.broker()
      world.clocks.advance(5 * 60_000)
      const young = await session(9_000)
      const keep = async (leases: readonly string[]) => leases.map(lease => ({ lease, issuedBy: at }))
      const until = world.clocks.broker() + 60_000
      let puts = 0
      world.aws.faults = ({ operation, when }) =>
        operation === 'PutRolePolicy' && when === 'before' && ++puts > 1 ? 'drop' : 'ok'
      const cut = denying.revokeGroup!(ROLE, members(20, 5_000), until, keep)
      await expect(cut).rejects.toMatchObject({ name: 'ProviderUnavailable' })
      expect(await world.read(early.secret.reveal()), 'let go between two writes').toBe('refused')
      world.aws.faults = undefined
      expect(await denying.revokeGroup!(ROLE, members(20, 5_000), until, keep)).toEqual({ left: [] })
      expect(await world.read(early.secret.reveal())).toBe('refused')
      expect(await world.read(young.secret.reveal())).toBe('accepted')
    })

    test('what denies by time alone stays for as long as anybody is kept', async () => {
      const denying = world.openRevoking({ when_full: 'deny_older' })
      const old = await session(1_999)
      world.clocks.advance(2 * 60_000)
      const theirs = { Version: '2012-10-17', Statement: [{ ...ALLOW_NOTHING, Sid: 'x'.repeat(9_900) }] }
      await world.interfere('theirs', theirs)
      await write([member(1_999)], denying)
      expect([...(await world.policies()).keys()]).toEqual(['mayfly-aws-older', 'theirs'])
      await rewrite([], denying, [])
      expect(await world.read(old.secret.reveal())).toBe('refused')
      await write([], denying)
      expect([...(await world.policies()).keys()]).toEqual(['theirs'])
    })
  })

  test('a second statement of who is denied gives way where room is short', async () => {
    await write(members(100))
    expect([...(await world.policies()).keys()].filter(name => name.includes('source'))).not.toEqual([])
    expect(await write(members(180))).toEqual({ left: [] })
    expect([...(await world.policies()).keys()].filter(name => name.includes('source'))).toEqual([])
  })

  test('a role whose policies are not the broker’s to write leaves its sessions to expiry, and says so', async () => {
    const outcome = await issuer.revokeGroup!(world.lockedRole, [member(1)], world.clocks.broker() + 60_000)
    expect(outcome.left).toEqual([leaseId(1)])
    expect(outcome.because).toContain('does not let the broker')
  })

  test('a key that AWS does not know is the broker’s own trouble, to be tried again', async () => {
    const { deps } = world.host
    const read = deps.readSecretFile
    deps.readSecretFile = async path => {
      const { Secret } = await import('../../issuers/shared/secret.ts')
      return new Secret((await read(path)).reveal().replace('AKIABROKER', 'AKIANOBODY'))
    }
    await expect(write([member(1)])).rejects.toMatchObject({ name: 'ProviderUnavailable' })
  })

  describe('what AWS answers to a write', () => {
    const answering = (status: number, code: string) => {
      world.aws.faults = ({ operation, when }) =>
        operation === 'PutRolePolicy' && when === 'before'
          ? {
              status,
              headers: { 'content-type': 'text/xml' },
              body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>said so</Message></Error></ErrorResponse>`,
            }
          : 'ok'
    }

    test.each([
      [400, 'Throttling', 5_000],
      [429, 'TooManyRequestsException', 5_000],
      [500, 'ServiceFailure', undefined],
      [503, 'ServiceUnavailable', undefined],
      [403, 'ExpiredToken', undefined],
    ])('%i %s: not known, to be tried again', async (status, code, retryAfterMs) => {
      answering(status, code)
      await expect(write([member(1)])).rejects.toMatchObject({ name: 'ProviderUnavailable', retryAfterMs })
    })

    test.each([
      [403, 'AccessDenied'],
      [404, 'NoSuchEntity'],
      [409, 'LimitExceeded'],
      [400, 'MalformedPolicyDocument'],
      [409, 'UnmodifiableEntity'],
    ])('%i %s: nobody is told dead, and the reason is told', async (status, code) => {
      answering(status, code)
      const { left, because } = await write([member(1)])
      expect(left).toEqual([leaseId(1)])
      expect(because).toContain('write a policy')
    })
  })

  describe('what can be ended', () => {
    const revocabilityOf = (of: Issuer<AwsAsk>, over: object = {}) =>
      of.revocabilityOf?.(of.ask.parse(world.readArtifacts(over)))

    test('a session that may chain into other roles is left to expiry', () => {
      expect(revocabilityOf(issuer)).toBe('propagating')
      expect(revocabilityOf(issuer, { allow_role_chaining: true })).toBe('expiry_only')
    })

    test('so is a role that is not the broker’s to write, and every role without revocation; it is said', () => {
      const some = world.openRevoking({ roles: [ROLE] }, { roles: [ROLE, world.lockedRole] })
      expect(revocabilityOf(some)).toBe('propagating')
      expect(revocabilityOf(some, { role: world.lockedRole })).toBe('expiry_only')
      expect(some.notices?.join()).toContain(`${world.lockedRole} is not among revocation.roles`)
      const none = world.open()
      expect([none.revocability, none.holdsSecret, revocabilityOf(none)]).toEqual([
        'expiry_only',
        false,
        'expiry_only',
      ])
      expect(none.notices?.join()).toContain('without `revocation`')
    })

    test('only a session that can be ended may make the probing call', async () => {
      expect(observed(await issuer.probe((await session(1)).handle)).proof).toBe('alive')
      const chaining = await session(2, { allow_role_chaining: true })
      const { handle } = chaining
      const asIfReached = { ...handle, ask: { ...handle.ask, allow_role_chaining: false } }
      expect(observed(await issuer.probe(asIfReached)).proof).toBe('unknown')
    })
  })

  describe('proof', () => {
    const looks = async (handle: LeaseHandle<AwsAsk>, until: 'dead' | number) => {
      const seen: string[] = []
      let lease = handle
      for (let n = 0; n < 100 && (until === 'dead' || n < until); n += 1) {
        const { proof, remember, lookAgainMs = 0, deadSince } = observed(await issuer.probe(lease))
        seen.push(proof)
        lease = remember === undefined ? lease : { ...lease, remembered: remember }
        if (proof === 'dead') return { seen, lease, deadSince }
        if (!Number.isFinite(lookAgainMs)) return { seen, lease, gaveUp: true }
        world.clocks.advance(lookAgainMs)
      }
      return { seen, lease }
    }

    test.each([0, 7_000, 61_000, 300_000])(
      'a deny that takes %i ms: alive until it has taken, then denied for a minute, then dead',
      async delay => {
        world.aws.denyDelayMs = delay
        const { handle } = await session(1)
        const { lease } = await looks(handle, 1)
        await write([member(1)])
        const revokedAt = world.clocks.broker()
        const { seen, deadSince } = await looks({ ...lease, revokedAt }, 'dead')
        expect(seen.slice(-3)).toEqual(['unknown', 'unknown', 'dead'])
        expect(seen.slice(0, -3).every(one => one === 'alive')).toBe(true)
        expect(deadSince).toBeGreaterThanOrEqual(revokedAt + delay)
        expect(deadSince).toBeLessThan(revokedAt + delay + 60_000)
        expect(world.clocks.broker() - deadSince!).toBeGreaterThanOrEqual(60_000)
      },
    )

    test('a session that comes back to life begins anew', async () => {
      const { handle } = await session(1)
      const { lease } = await looks(handle, 1)
      await write([member(1)])
      const ended = { ...lease, revokedAt: world.clocks.broker() }
      const denied = await looks(ended, 2)
      expect(denied.seen).toEqual(['unknown', 'unknown'])
      await write([])
      const back = await looks({ ...denied.lease, revokedAt: ended.revokedAt }, 1)
      expect(back.seen).toEqual(['alive'])
      await write([member(1)])
      expect((await looks(back.lease, 'dead')).seen).toEqual(['unknown', 'unknown', 'dead'])
    })

    test('never seen to succeed: it cannot be proven, and nothing more is asked', async () => {
      const { handle } = await session(1)
      await write([member(1)])
      expect(await looks({ ...handle, revokedAt: world.clocks.broker() }, 'dead')).toMatchObject({
        seen: ['unknown'],
        gaveUp: true,
      })
    })

    test('what is remembered holds times and counts, and nothing of the session', async () => {
      const { handle, secret } = await session(1)
      const { lease } = await looks(handle, 1)
      await write([member(1)])
      const { lease: last } = await looks({ ...lease, revokedAt: world.clocks.broker() }, 'dead')
      expect(Object.keys(JSON.parse(last.remembered!)).sort()).toEqual(['denials', 'seen', 'since'])
      const { SecretAccessKey } = JSON.parse(secret.reveal()) as SessionKeys
      expect(last.remembered).not.toContain(createHash('sha256').update(SecretAccessKey).digest('hex'))
    })

    test('a spent budget asks nothing, and says when it may', async () => {
      const slow = world.openRevoking({ probes_per_minute: 2 })
      const { handle } = await session(1)
      const proofs = []
      for (let n = 0; n < 3; n += 1) proofs.push(observed(await slow.probe(handle)))
      expect(proofs.map(({ proof }) => proof)).toEqual(['alive', 'alive', 'unknown'])
      expect(proofs[2]?.lookAgainMs).toBe(30_000)
      world.clocks.advance(30_000)
      expect(observed(await slow.probe(handle)).proof).toBe('alive')
    })
  })

  test('settings: unknown keys and odd names are refused', () => {
    for (const revocation of [
      { roles: ['*'] },
      { policy_name_prefix: 'a b' },
      { when_full: 'hope' },
      { role_policy: false },
      { more: 1 },
    ]) {
      expect(() => world.openRevoking(revocation)).toThrow()
    }
  })
})
