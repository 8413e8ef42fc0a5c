/** The radosgw that `run.sh` started, through the real SDK. One endpoint speaks STS, IAM and S3. */
import { setTimeout } from 'node:timers/promises'
import { DeleteRolePolicyCommand, GetRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleCommand, type AssumeRoleCommandInput, STSClient } from '@aws-sdk/client-sts'

export type Keys = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

/** @throws where the suite was not started by `npm run test:interop`. */
function environment(name: string): string {
  const value = process.env[`INTEROP_AWS_${name}`]
  if (value === undefined) throw new Error(`INTEROP_AWS_${name} is not set: run npm run test:interop`)
  return value
}

export const ENDPOINT = environment('ENDPOINT')
export const ROLE_ARN = environment('ROLE_ARN')
export const REGION = 'us-east-1'
export const BROKER: Keys = {
  accessKeyId: environment('ACCESS_KEY_ID'),
  secretAccessKey: environment('SECRET_ACCESS_KEY'),
}
export const BUCKET = 'artifacts'
export const ROLE = 'deploy'

const config = (credentials: Keys) => ({ endpoint: ENDPOINT, region: REGION, maxAttempts: 1, credentials })
const s3 = (keys: Keys) => new S3Client({ ...config(keys), forcePathStyle: true })
export const iam = new IAMClient(config(BROKER))

/** Makes the bucket with `build.txt` and `other.txt` in it; both hold "hello". */
export async function fillBucket(): Promise<void> {
  await s3(BROKER).send(new CreateBucketCommand({ Bucket: BUCKET }))
  for (const key of ['build.txt', 'other.txt']) await write(BROKER, key)
}

export async function assumeRole(
  input: Partial<AssumeRoleCommandInput> = {},
  caller = BROKER,
): Promise<Keys> {
  const command = new AssumeRoleCommand({ RoleArn: ROLE_ARN, RoleSessionName: 'lse_1', ...input })
  const { Credentials } = await new STSClient(config(caller)).send(command)
  const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = Credentials ?? {}
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
}

export async function read(keys: Keys, Key = 'build.txt'): Promise<string | undefined> {
  const { Body } = await s3(keys).send(new GetObjectCommand({ Bucket: BUCKET, Key }))
  return Body?.transformToString()
}

export async function write(keys: Keys, Key: string): Promise<void> {
  await s3(keys).send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'hello' }))
}

/** HTTP status of a call: 200 where it went through, what the provider answered where it did not. */
export async function statusOf(call: Promise<unknown>): Promise<number> {
  try {
    await call
    return 200
  } catch (error) {
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
    if (status === undefined) throw error
    return status
  }
}

/** Asks again until the answer is `wanted`. Ends by the test's own time limit. */
export async function untilStatus(wanted: number, ask: () => Promise<unknown>): Promise<void> {
  while ((await statusOf(ask())) !== wanted) await setTimeout(50)
}

/** The role's unique id, first half of a session's `aws:userid`. */
export async function roleId(): Promise<string> {
  const { Role } = await iam.send(new GetRoleCommand({ RoleName: ROLE }))
  return Role?.RoleId ?? ''
}

/** Refuses everything to the role's sessions for which the condition holds. */
export async function denyRole(PolicyName: string, Condition: object): Promise<void> {
  const Statement = [{ Effect: 'Deny', Action: '*', Resource: '*', Condition }]
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement })
  await iam.send(new PutRolePolicyCommand({ RoleName: ROLE, PolicyName, PolicyDocument }))
}

export async function undeny(PolicyName: string): Promise<void> {
  await iam.send(new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName }))
}

/** A session policy: one action on one resource, perhaps under a condition. */
export function onlyAllow(Action: string, Resource: string, Condition?: object): string {
  const statement = { Effect: 'Allow', Action, Resource, ...(Condition && { Condition }) }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

/** `2026-01-31T12:00:00Z` for epoch ms that are whole seconds. */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/** The next whole second that is at least `seconds` ahead, epoch ms. */
export function secondsAhead(seconds: number): number {
  return (Math.ceil(Date.now() / 1000) + seconds) * 1000
}
