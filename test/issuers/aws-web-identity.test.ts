/** Sessions without an AWS key in the broker. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { describeIssuer } from '../conformance/issuer.ts'
import { AwsWorld } from './aws-world.ts'
import { faultControls, ISSUER_URL, identityKeySet, identityKeyText, jwtPrivateKeyText } from './stand-in.ts'

const PROVIDER = `${ISSUER_URL}/aws`
const EVERYTHING = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }

/** An account that trusts the broker's signature: one role for tasks, one in which the broker ends sessions. */
async function start() {
  const world = await AwsWorld.start()
  const { aws } = world
  aws.addOidcProvider({
    url: PROVIDER,
    audiences: ['sts.amazonaws.com'],
    fetch: async url =>
      url.endsWith('/openid-configuration')
        ? { issuer: PROVIDER, jwks_uri: `${PROVIDER}/.well-known/jwks.json` }
        : identityKeySet,
  })
  const trusting = (name: string, subject: string, policy: object, actions?: readonly string[]) =>
    aws.addRole({
      ...{ name, trusts: [], policy },
      webIdentity: { provider: PROVIDER, subject, ...(actions && { actions }) },
    }).arn
  const deploy = trusting('deploy', 'mayfly:aws:task', EVERYTHING)
  const own = trusting('mayfly', 'mayfly:aws:broker', {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'iam:*', Resource: deploy }],
  })
  const open = (more: object = {}) =>
    world.open({ credentials: { web_identity: { broker_role: own } }, ...more })
  return {
    world,
    own,
    open,
    trusting,
    openRevoking: () => world.openRevoking({}, { credentials: { web_identity: { broker_role: own } } }),
  }
}

describeIssuer('aws-sts by web identity', async () => {
  const { world, openRevoking } = await start()
  const { aws, clocks } = world
  return {
    issuer: openRevoking(),
    asks: {
      granted: world.readArtifacts(),
      refused: world.readArtifacts({ role: world.lockedRole }),
      any: fc.record({
        role: fc.constantFrom(world.role, `${world.role}-2`),
        statements: fc.array(
          fc.record({
            actions: fc.subarray(['s3:GetObject', 's3:Get*', 's3:*'], { minLength: 1, maxLength: 2 }),
            resources: fc.subarray(['*', 'arn:aws:s3:::a/*'], { minLength: 1, maxLength: 2 }),
          }),
          { minLength: 1, maxLength: 2 },
        ),
      }),
    },
    use: secret => world.read(secret),
    useOutside: secret => world.write(secret),
    now: clocks.broker,
    advance: ms => clocks.advance(ms),
    ownSecrets: [identityKeyText, jwtPrivateKeyText],
    provider: {
      requests: () => world.host.counted.requests,
      given: () =>
        aws
          .credentials()
          .filter(({ roleArn }) => roleArn === world.role)
          .map(({ alive, sessionName }) => ({ alive, handle: sessionName })),
      advance: ms => clocks.advanceProvider(ms),
      ...faultControls(aws, 'AssumeRoleWithWebIdentity', 200),
    },
    close: () => world.close(),
  }
})

describe('aws-sts by web identity', () => {
  let installation: Awaited<ReturnType<typeof start>>
  let world: AwsWorld
  beforeEach(async () => {
    installation = await start()
    world = installation.world
  })
  afterEach(() => world.close())

  test('tags and source identity reach the session as claims of the token', async () => {
    await world.issued(installation.open(), world.readArtifacts())
    const lease = `lse_${'a'.repeat(26)}`
    expect(world.aws.credentials()).toMatchObject([
      {
        sessionName: lease,
        sourceIdentity: lease,
        issuedTo: PROVIDER,
        tags: [
          { key: 'mayfly:lease', value: lease },
          { key: 'mayfly:task', value: 'tsk_1' },
          { key: 'mayfly:agent', value: 'deployer' },
        ],
      },
    ])
  })

  test('a role that trusts another subject, or not every action, is refused as not permitted', async () => {
    const { trusting, open } = installation
    const roles = [
      trusting('others', 'mayfly:other:task', EVERYTHING),
      trusting('brokers', 'mayfly:aws:broker', EVERYTHING),
      trusting('tagless', 'mayfly:aws:task', EVERYTHING, [
        'sts:AssumeRoleWithWebIdentity',
        'sts:SetSourceIdentity',
      ]),
    ]
    for (const role of roles) {
      expect(await world.issue(open(), world.readArtifacts({ role }))).toMatchObject({
        ok: false,
        reason: 'not_permitted',
      })
    }
    expect(world.aws.credentials()).toEqual([])
  })

  test('what the broker signs for tasks opens no session', async () => {
    const { deps } = world.host
    deps.webIdentity = { issuerUrl: PROVIDER, sign: deps.jwt.sign }
    expect(await world.issue(installation.open(), world.readArtifacts())).toMatchObject({
      ok: false,
      reason: 'rejected',
      detail: expect.stringContaining('InvalidIdentityToken'),
    })
  })

  test('sessions are ended by the broker in a role of its own, whose session is used again', async () => {
    const issuer = installation.openRevoking()
    const { secret } = await world.issued(issuer, world.readArtifacts())
    const member = {
      lease: `lse_${'a'.repeat(26)}`,
      ask: issuer.ask.parse(world.readArtifacts()),
      issuedBy: world.clocks.broker(),
      told: false,
    }
    const write = () => issuer.revokeGroup!(world.role, [member], world.clocks.broker() + 60_000)
    expect(await write()).toEqual({ left: [] })
    expect(await world.read(secret.reveal())).toBe('refused')
    await write()
    const own = () => world.aws.credentials().filter(({ roleArn }) => roleArn === installation.own)
    expect(own()).toHaveLength(1)
    world.clocks.advance(11 * 60_000)
    await write()
    expect(own()).toHaveLength(2)
  })

  test('a key set that AWS cannot fetch, and a clock that is behind, are told as the broker’s own trouble', async () => {
    world.aws.addOidcProvider({
      url: PROVIDER,
      audiences: ['sts.amazonaws.com'],
      fetch: async () => {
        throw new Error('no route')
      },
    })
    expect(await world.issue(installation.open(), world.readArtifacts())).toMatchObject({
      ok: false,
      detail: expect.stringContaining('IDPCommunicationError'),
    })
    const issuer = installation.openRevoking()
    await expect(issuer.revokeGroup!(world.role, [], world.clocks.broker() + 60_000)).rejects.toBeInstanceOf(
      ProviderUnavailable,
    )
  })

  test('settings: to end sessions, the broker needs a role of its own', () => {
    expect(() => world.open({ credentials: 'web_identity' })).not.toThrow()
    expect(() => world.openRevoking({}, { credentials: 'web_identity' })).toThrow(/broker_role/)
  })

  test('a host that signs no such tokens is told so when the issuer is opened', () => {
    delete world.host.deps.webIdentity
    expect(() => installation.open()).toThrow(/signs no web identity/)
  })
})
