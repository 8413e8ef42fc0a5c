/** The `aws-sts` issuer itself against radosgw: issue, use, outside the scope, deadline. */
import { beforeAll, describe, expect, test } from 'vitest'
import { awsSts } from '../../issuers/aws-sts.ts'
import type { Issued } from '../../issuers/issuer.ts'
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

const settings = awsSts.settings.parse({
  region: REGION,
  endpoint: ENDPOINT,
  credentials: { access_key_file: KEY_FILE },
})

const issuer = awsSts.open(settings, {
  now: Date.now,
  fetch,
  readSecretFile: async () =>
    new Secret(JSON.stringify({ AccessKeyId: BROKER.accessKeyId, SecretAccessKey: BROKER.secretAccessKey })),
  jwt: { issuerUrl: 'https://mayfly.test', sign: async () => 'unused' },
  userAgent: 'mayfly/interop',
})

beforeAll(fillBucket)

async function issue(lease: string, expiresAt: number): Promise<{ issued: Issued<AwsAsk>; keys: Keys }> {
  const ask = issuer.ask.parse({
    role: ROLE_ARN,
    // radosgw refuses a policy that names an action it does not know, and the denials that these flags take
    // off name some (sts:GetFederationToken). The embedded AWS shows those at work.
    allow_role_chaining: true,
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
    expect(issuer.covers(issued.granted, issued.granted)).toBe(true)
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
