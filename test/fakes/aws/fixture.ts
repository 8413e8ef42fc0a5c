/** The stand-in on a socket with one broker user, one role and one bucket, and the real SDK clients for it. */
import { randomBytes } from 'node:crypto'
import { Sha256 } from '@aws-crypto/sha256-js'
import { IAMClient } from '@aws-sdk/client-iam'
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleCommand, type AssumeRoleCommandInput, STSClient } from '@aws-sdk/client-sts'
import { SignatureV4 } from '@smithy/signature-v4'
import { type AwsServer, startAws } from './server.ts'

export type Keys = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

export const BROKER: Keys = { accessKeyId: 'AKIABROKER0000000000', secretAccessKey: 'broker-secret' }

/** What the deploy role may do at most. */
export const DEPLOY_POLICY = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: ['s3:*'], Resource: 'arn:aws:s3:::artifacts/*' },
    { Effect: 'Allow', Action: ['ec2:DescribeRegions', 'sts:*'], Resource: '*' },
  ],
}

/** A session policy that lets one action on one resource through. */
export function onlyAllow(action: string, resource: string, condition?: object): string {
  const statement = { Effect: 'Allow', Action: action, Resource: resource }
  const Statement = [condition === undefined ? statement : { ...statement, Condition: condition }]
  return JSON.stringify({ Version: '2012-10-17', Statement })
}

/** A policy that refuses everything where the condition holds. */
export function denyAll(Condition: object): string {
  const statement = { Effect: 'Deny', Action: '*', Resource: '*', Condition }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

/** `code`, `status` and `message` of what the SDK threw; fails the test where it did not throw. */
export async function refusal(
  call: Promise<unknown>,
): Promise<{ code: string; status: number; message: string }> {
  try {
    await call
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
    return { code: name, status: $metadata?.httpStatusCode ?? 0, message }
  }
  throw new Error('expected a refusal, and the call went through')
}

export class Fixture {
  readonly aws: AwsServer
  readonly role: { arn: string; roleId: string }
  /** ms by which the stand-in's clock, and that of clients made from now on, is ahead of the machine's. */
  readonly clock: { aheadMs: number }

  private constructor(aws: AwsServer, clock: { aheadMs: number }) {
    this.aws = aws
    this.clock = clock
    const { arn } = aws.addUser({ name: 'broker', ...BROKER, policy: BROKER_POLICY })
    this.role = aws.addRole({ name: 'deploy', trusts: [arn], policy: DEPLOY_POLICY, maxSessionSeconds: 7200 })
    aws.putObject('artifacts', 'build.txt', 'hello')
  }

  static async start(): Promise<Fixture> {
    const clock = { aheadMs: 0 }
    const now = () => Date.now() + clock.aheadMs
    return new Fixture(await startAws({ now, random: randomBytes }), clock)
  }

  sts(credentials: Keys = BROKER): STSClient {
    return new STSClient(this.#config(credentials))
  }

  iam(credentials: Keys = BROKER): IAMClient {
    return new IAMClient(this.#config(credentials))
  }

  s3(credentials: Keys): S3Client {
    return new S3Client({ ...this.#config(credentials), forcePathStyle: true })
  }

  #config(credentials: Keys) {
    const { url: endpoint } = this.aws
    const systemClockOffset = this.clock.aheadMs
    return { endpoint, region: 'us-east-1', maxAttempts: 1, credentials, systemClockOffset }
  }

  /** AssumeRole on the deploy role, and the keys it gave. */
  async assume(input: Partial<AssumeRoleCommandInput> = {}, caller: Keys = BROKER): Promise<Keys> {
    const command = new AssumeRoleCommand({ RoleArn: this.role.arn, RoleSessionName: 'lse_1', ...input })
    const { Credentials } = await this.sts(caller).send(command)
    return {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    }
  }

  async read(keys: Keys, Key = 'build.txt', Bucket = 'artifacts'): Promise<string | undefined> {
    const { Body } = await this.s3(keys).send(new GetObjectCommand({ Bucket, Key }))
    return Body?.transformToString()
  }

  write(keys: Keys, Key: string, Body: string | Uint8Array): Promise<unknown> {
    return this.s3(keys).send(new PutObjectCommand({ Bucket: 'artifacts', Key, Body }))
  }

  remove(keys: Keys, Key: string): Promise<unknown> {
    return this.s3(keys).send(new DeleteObjectCommand({ Bucket: 'artifacts', Key }))
  }

  /** DescribeRegions, signed by the SDK's own signer (there is no EC2 client among the dependencies). */
  async describeRegions(keys: Keys, dryRun: boolean): Promise<{ status: number; body: string }> {
    const { host, hostname, port, protocol } = new URL(this.aws.url)
    const signer = new SignatureV4({
      service: 'ec2',
      region: 'us-east-1',
      credentials: keys,
      sha256: Sha256,
    })
    const { headers, body } = await signer.sign(
      {
        method: 'POST',
        protocol,
        hostname,
        port: Number(port),
        path: '/',
        query: {},
        headers: { host, 'content-type': 'application/x-www-form-urlencoded' },
        body: `Action=DescribeRegions&Version=2016-11-15&DryRun=${dryRun}`,
      },
      { signingDate: new Date(Date.now() + this.clock.aheadMs) },
    )
    const response = await fetch(this.aws.url, { method: 'POST', headers, body })
    return { status: response.status, body: await response.text() }
  }

  /** Access key ids of the sessions that are of any use now. */
  alive(): string[] {
    return this.aws
      .credentials()
      .filter(({ alive }) => alive)
      .map(({ accessKeyId }) => accessKeyId)
  }
}

const BROKER_POLICY = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iam:*', Resource: 'arn:aws:iam::*:role/deploy' }],
}
