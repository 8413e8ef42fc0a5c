/** The `aws-sts` issuer itself against radosgw: issue, use, outside the scope, deadline. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { awsSts } from '../../issuers/aws-sts.ts'
import { type Issued, type LeaseHandle, observed } from '../../issuers/issuer.ts'
import type { AwsAsk } from '../../issuers/shared/aws-ask.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import {
  BROKER,
  ENDPOINT,
  fillBucket,
  type Keys,
  REGION,
  ROLE_ARN,
  read,
  secondsAhead,
  statusOf,
  untilStatus,
  write,
} from './radosgw.ts'

const KEY_FILE = '/etc/mayfly/aws-key.json'

const settings = {
  region: REGION,
  endpoint: ENDPOINT,
  credentials: { access_key_file: KEY_FILE },
}

/** ms by which the issuer's clock is ahead: what it waits for between two probes need not be waited out. */
let ahead = 0

const open = (more: object = {}) =>
  awsSts.open(awsSts.settings.parse({ ...settings, ...more }), {
    now: () => Date.now() + ahead,
    fetch,
    readSecretFile: async () =>
      new Secret(
        JSON.stringify({ AccessKeyId: BROKER.accessKeyId, SecretAccessKey: BROKER.secretAccessKey }),
      ),
    jwt: { issuerUrl: 'https://mayfly.test', sign: async () => 'unused' },
    userAgent: 'mayfly/interop',
  })

beforeAll(fillBucket)

async function issue(
  lease: string,
  expiresAt: number,
  issuer = open(),
): Promise<{ issued: Issued<AwsAsk>; keys: Keys }> {
  const ask = issuer.ask.parse({
    role: ROLE_ARN,
    // radosgw refuses a policy that names actions of which it knows none, and the denials that this flag takes
    // off have some. The embedded AWS shows those at work.
    allow_iam_writes: true,
    statements: [{ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::artifacts/build.txt'] }],
  })
  const grant = { lease, ask, task: 'tsk_1', agent: 'deployer', chain: [], expiresAt }
  const outcome = await issuer.issue({ ...grant, mintNotAfter: Date.now() + issuer.mintWindowMs })
  if (!outcome.ok) throw new Error(outcome.detail)
  const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(outcome.secret.reveal())
  return {
    issued: outcome as Issued<AwsAsk>,
    keys: { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken },
  }
}

describe('the aws-sts issuer', () => {
  test('gives a session that can do what was asked and nothing else', async () => {
    const { issued, keys } = await issue('lse_interop0000000000000000001', secondsAhead(600))
    expect(open().covers(issued.granted, issued.granted)).toBe(true)
    expect(await read(keys)).toBe('hello')
    expect(await statusOf(read(keys, 'other.txt'))).toBe(403)
    expect(await statusOf(write(keys, 'build.txt'))).toBe(403)
  })

  test('gives a session that is dead at the deadline it promised', async () => {
    const deadline = secondsAhead(2)
    const { issued, keys } = await issue('lse_interop0000000000000000002', deadline)
    expect(issued.providerExpiresAt).toBe(deadline)
    expect(await read(keys)).toBe('hello')
    await untilStatus(403, () => read(keys))
    expect(Date.now()).toBeGreaterThanOrEqual(deadline)
  })
})

describe('the aws-sts issuer with revocation', () => {
  const issuer = open({
    revocation: {
      role_policy: true,
      policy_name_prefix: 'interop',
      iam_endpoint: ENDPOINT,
      probe: { call: 's3:GetBucketLocation', bucket: 'artifacts', endpoint: ENDPOINT },
    },
  })
  const end = (...leases: string[]) =>
    issuer.revokeGroup!(
      ROLE_ARN,
      leases.map(lease => ({ lease, ask: {}, issuedBy: Date.now(), told: false })),
      Date.now() + 60_000,
    )
  const start = async (lease: string) => {
    const { issued, keys } = await issue(lease, secondsAhead(600), issuer)
    const { secret, granted: ask, providerExpiresAt } = issued
    const handle: LeaseHandle = { lease, ask, secret, providerExpiresAt }
    return { keys, handle }
  }
  afterEach(async () => {
    ahead = 0
    await end()
  })

  test('two sessions of one role: the ended one is denied everything, the other goes on', async () => {
    const first = await start('lse_interop0000000000000000011')
    const second = await start('lse_interop0000000000000000012')
    expect(await read(first.keys)).toBe('hello')
    expect(await end(first.handle.lease)).toEqual({ left: [] })
    await untilStatus(403, () => read(first.keys))
    expect(await read(second.keys)).toBe('hello')
    expect(await end(first.handle.lease)).toEqual({ left: [] })
    expect(await end()).toEqual({ left: [] })
    await untilStatus(200, () => read(first.keys))
  })

  test('what was seen at work is proven dead by three denials over a minute', async () => {
    const { handle } = await start('lse_interop0000000000000000013')
    const seen = observed(await issuer.probe(handle))
    expect(seen.proof).toBe('alive')
    await end(handle.lease)
    let lease: LeaseHandle = { ...handle, revokedAt: Date.now(), remembered: seen.remember! }
    const proofs: string[] = []
    while (proofs.at(-1) !== 'dead') {
      const { proof, remember, lookAgainMs = 0 } = observed(await issuer.probe(lease))
      proofs.push(proof)
      lease = { ...lease, ...(remember !== undefined && { remembered: remember }) }
      ahead += lookAgainMs
    }
    expect(proofs.slice(-3)).toEqual(['unknown', 'unknown', 'dead'])
  })

  test('a session is ended by its name before it is minted', async () => {
    const lease = 'lse_interop0000000000000000014'
    await end(lease)
    const { keys } = await start(lease)
    expect(await statusOf(read(keys))).toBe(403)
  })

  test('200 sessions at once: as many as AWS has room for', async () => {
    const leases = Array.from({ length: 200 }, (_, n) => `lse_interop${String(n).padStart(19, '0')}`)
    const { left } = await end(...leases)
    expect(left.length).toBeGreaterThan(0)
    expect(left.length).toBeLessThan(100)
  })
})
