/** An AWS account with a broker in it, and issuers opened against it. */
import { randomBytes } from 'node:crypto'
import {
  DeleteRolePolicyCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { awsSts } from '../../issuers/aws-sts.ts'
import type { Grant, Issued, Issuer, Refused } from '../../issuers/issuer.ts'
import type { AwsAsk } from '../../issuers/shared/aws-ask.ts'
import { type AwsServer, startAws } from '../fakes/aws/server.ts'
import { Clocks, hostDeps } from './stand-in.ts'

export const BROKER_KEY = { AccessKeyId: 'AKIABROKER0000000000', SecretAccessKey: 'broker-secret-access-key' }

const LEASE = `lse_${'a'.repeat(26)}`

/** What docs/aws.md tells an operator to give the broker: nothing on a role that it does not name. */
const OWN_POLICY = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Action: ['iam:GetRole', 'iam:ListRolePolicies', 'iam:GetRolePolicy'],
      Resource: 'arn:aws:iam::123456789012:role/deploy',
    },
    {
      Effect: 'Allow',
      Action: ['iam:PutRolePolicy', 'iam:DeleteRolePolicy'],
      Resource: 'arn:aws:iam::123456789012:role/deploy',
    },
  ],
}

export type SessionKeys = {
  AccessKeyId: string
  SecretAccessKey: string
  SessionToken: string
  Expiration: string
}

export class AwsWorld {
  readonly clocks: Clocks
  readonly host: ReturnType<typeof hostDeps>
  readonly aws: AwsServer
  readonly role: string
  /** Trusts nobody. */
  readonly lockedRole: string

  private constructor(aws: AwsServer, clocks: Clocks) {
    this.aws = aws
    this.clocks = clocks
    this.host = hostDeps(clocks, {
      'key.json': JSON.stringify(BROKER_KEY),
      'broken.json': '{"AccessKeyId":1}',
    })
    const { arn } = aws.addUser({
      name: 'broker',
      accessKeyId: BROKER_KEY.AccessKeyId,
      secretAccessKey: BROKER_KEY.SecretAccessKey,
      policy: OWN_POLICY,
    })
    const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }
    const deploy = aws.addRole({ name: 'deploy', trusts: [arn], policy, maxSessionSeconds: 7200 })
    const locked = aws.addRole({ name: 'locked', trusts: [], policy })
    this.role = deploy.arn
    this.lockedRole = locked.arn
    aws.putObject('artifacts', 'build.txt', 'hello')
  }

  static async start(): Promise<AwsWorld> {
    const clocks = new Clocks()
    return new AwsWorld(await startAws({ now: clocks.provider, random: randomBytes }), clocks)
  }

  /** With everything that ends sessions pointed at the stand-in. */
  openRevoking(revocation: object = {}, settings: object = {}): Issuer<AwsAsk> {
    const { url } = this.aws
    const probe = { call: 'ec2:DescribeRegions', endpoint: url }
    return this.open({
      revocation: { role_policy: true, iam_endpoint: url, probe, ...revocation },
      ...settings,
    })
  }

  open(settings: object = {}): Issuer<AwsAsk> {
    const parsed = awsSts.settings.parse({
      region: 'eu-central-1',
      endpoint: this.aws.url,
      credentials: { access_key_file: 'key.json' },
      ...settings,
    })
    // The list of issuer types forgets the ask's type; this is the one place that knows it again.
    return awsSts.open(parsed, this.host.deps) as Issuer<AwsAsk>
  }

  /** An ask for reading the artifacts, as a caller writes it. */
  readArtifacts(more: object = {}): object {
    const statements = [{ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::artifacts/*'] }]
    return { role: this.role, statements, ...more }
  }

  grant(issuer: Issuer<AwsAsk>, ask: AwsAsk, minutes = 10, lease = LEASE): Grant<AwsAsk> {
    const now = this.clocks.broker()
    return {
      lease,
      ask,
      task: 'tsk_1',
      agent: 'deployer',
      chain: [],
      expiresAt: now + minutes * 60_000,
      mintNotAfter: now + issuer.mintWindowMs,
    }
  }

  issue(
    issuer: Issuer<AwsAsk>,
    input: unknown,
    minutes?: number,
    lease?: string,
  ): Promise<Issued<AwsAsk> | Refused> {
    return issuer.issue(this.grant(issuer, issuer.ask.parse(input), minutes, lease))
  }

  async issued(issuer: Issuer<AwsAsk>, input: unknown, minutes?: number, lease?: string) {
    const answer = await this.issue(issuer, input, minutes, lease)
    if (!answer.ok) throw new Error(`refused: ${answer.detail}`)
    const keys = JSON.parse(answer.secret.reveal()) as SessionKeys
    return { ...answer, keys, config: this.config(keys) }
  }

  /** For the SDK's own clients, which sign by the stand-in's clock. */
  config({ AccessKeyId, SecretAccessKey, SessionToken }: SessionKeys) {
    return {
      endpoint: this.aws.url,
      region: 'eu-central-1',
      maxAttempts: 1,
      systemClockOffset: this.clocks.provider() - Date.now(),
      credentials: {
        accessKeyId: AccessKeyId,
        secretAccessKey: SecretAccessKey,
        ...(SessionToken !== '' && { sessionToken: SessionToken }),
      },
    }
  }

  /** The role's inline policies, read by the broker's own key. */
  async policies(role = 'deploy'): Promise<Map<string, string>> {
    const iam = this.#iam()
    const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName: role }))
    const texts = PolicyNames.map(async (PolicyName): Promise<[string, string]> => {
      const { PolicyDocument = '' } = await iam.send(new GetRolePolicyCommand({ RoleName: role, PolicyName }))
      return [PolicyName, decodeURIComponent(PolicyDocument)]
    })
    return new Map(await Promise.all(texts))
  }

  /** Somebody else writes a policy on the role; without a document, deletes it. */
  async interfere(PolicyName: string, document?: object, RoleName = 'deploy'): Promise<void> {
    const PolicyDocument = JSON.stringify(document)
    if (document === undefined) await this.#iam().send(new DeleteRolePolicyCommand({ RoleName, PolicyName }))
    else await this.#iam().send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument }))
  }

  #iam(): IAMClient {
    return new IAMClient(this.config({ ...BROKER_KEY, SessionToken: '', Expiration: '' }))
  }

  async close(): Promise<void> {
    await this.host.close()
    await this.aws.close()
  }

  read(secret: string): Promise<'accepted' | 'refused'> {
    const s3 = new S3Client({ ...this.config(JSON.parse(secret)), forcePathStyle: true })
    return outcome(s3.send(new GetObjectCommand({ Bucket: 'artifacts', Key: 'build.txt' })))
  }

  write(secret: string): Promise<'accepted' | 'refused'> {
    const s3 = new S3Client({ ...this.config(JSON.parse(secret)), forcePathStyle: true })
    return outcome(s3.send(new PutObjectCommand({ Bucket: 'artifacts', Key: 'build.txt', Body: 'mine' })))
  }
}

/** A refusal is a 403 or an expired token (400); anything else is the test's own fault. */
export async function outcome(call: Promise<unknown>): Promise<'accepted' | 'refused'> {
  try {
    await call
    return 'accepted'
  } catch (error) {
    const { name } = error as Error
    if (name === 'AccessDenied' || name.startsWith('ExpiredToken')) return 'refused'
    throw error
  }
}
