/**
 * An AWS of one account, for tests and the demo: STS, IAM, EC2 and S3 behind one endpoint, speaking the wire
 * protocols of the real SDKs and enforcing what AWS enforces: signatures, expiry, trust, session policies,
 * denies. It keeps the truth of every session it ever gave.
 *
 * Not here: managed policies, resource policies other than trust, regions (any is taken), presigned URLs,
 * chunked uploads.
 */
import { setTimeout } from 'node:timers/promises'
import { ConnectionDropped, type FaultHook } from '../faults.ts'
import { answer, answerError, authError } from './answers.ts'
import { AwsError } from './aws-error.ts'
import { ec2 } from './ec2.ts'
import { iam } from './iam.ts'
import { parsePolicy } from './policy-document.ts'
import { type QueryParameters, readQuery } from './query.ts'
import { readS3Call, type S3Call, s3 } from './s3.ts'
import { authenticate, type SignedRequest } from './sigv4.ts'
import { sts } from './sts.ts'
import { type AwsCredential, credentials } from './truth.ts'
import { assumeRoleWithWebIdentity, type OidcProvider } from './web-identity.ts'
import { requestId, uniqueId, type World } from './world.ts'

export type AwsOptions = {
  /** Epoch ms. */
  now: () => number
  random: (bytes: number) => Uint8Array
  faults?: FaultHook
  /** Twelve digits. */
  account?: string
  /** Waits out `latencyMs`; real time unless told. */
  sleep?: (ms: number) => Promise<void>
}

/** What a trust policy gives the principals it names. */
export type TrustAction = 'sts:AssumeRole' | 'sts:TagSession' | 'sts:SetSourceIdentity'

export type Aws = {
  readonly account: string
  /** @throws ConnectionDropped where the fault hook says `drop`. */
  handle(request: Request): Promise<Response>
  /** A user with one long-lived key and, unless a policy gives it some, no permission of its own. */
  addUser(user: { name: string; accessKeyId: string; secretAccessKey: string; policy?: object }): {
    arn: string
    userId: string
  }
  /** `trusts`: principal ARNs of users, roles or sessions, or the account's root. `maxSessionSeconds`: 3600 unless told. */
  addRole(role: {
    name: string
    trusts: readonly string[]
    trustActions?: readonly TrustAction[]
    policy: object
    maxSessionSeconds?: number
    /** Trusts this subject of an OIDC provider, too, with every action unless told. */
    webIdentity?: { provider: string; subject: string; actions?: readonly string[] }
  }): { arn: string; roleId: string }
  /** Makes an OIDC provider of the account. */
  addOidcProvider(provider: OidcProvider): void
  /** Makes the bucket where there is none. */
  putObject(bucket: string, key: string, body: string | Uint8Array): void
  /** Truth of every session ever given, oldest first. */
  credentials(): AwsCredential[]
  faults: FaultHook | undefined
  /** Waited before every effect. */
  latencyMs: number
  /** Time until a newly written inline role policy takes effect. Applies to writes from then on. */
  denyDelayMs: number
  /**
   * How far a signature's date may be from the clock, either way. A quarter of an hour unless told, which is
   * what the STS, IAM, EC2 and S3 error texts and references name (`RequestExpired`: "more than 15 minutes
   * after the date stamp"). The IAM User Guide promises only five minutes: a caller should live with both.
   */
  signatureWindowMs: number
}

const WEB_IDENTITY_ACTIONS = ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession', 'sts:SetSourceIdentity']
const TRUST_ACTIONS: readonly TrustAction[] = ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity']

export function createAws(options: AwsOptions): Aws {
  const account = options.account ?? '123456789012'
  const world: World = {
    account,
    now: options.now,
    random: options.random,
    denyDelayMs: 0,
    signatureWindowMs: 15 * 60_000,
    users: new Map(),
    roles: new Map(),
    sessions: new Map(),
    oidcProviders: new Map(),
    buckets: new Map(),
  }
  const sleep = options.sleep ?? (ms => setTimeout(ms))
  const aws: Aws = {
    account,
    faults: options.faults,
    latencyMs: 0,
    get denyDelayMs() {
      return world.denyDelayMs
    },
    set denyDelayMs(ms) {
      world.denyDelayMs = ms
    },
    get signatureWindowMs() {
      return world.signatureWindowMs
    },
    set signatureWindowMs(ms) {
      world.signatureWindowMs = ms
    },
    handle: request => handle(world, aws, sleep, request),
    addUser({ name, accessKeyId, secretAccessKey, policy }) {
      const arn = `arn:aws:iam::${account}:user/${name}`
      const userId = uniqueId(world, 'AIDA')
      const document = policy === undefined ? undefined : parsePolicy(JSON.stringify(policy))
      const user = {
        kind: 'user',
        name,
        arn,
        userId,
        accessKeyId,
        secretAccessKey,
        policy: document,
      } as const
      world.users.set(accessKeyId, user)
      return { arn, userId }
    },
    addOidcProvider(provider) {
      world.oidcProviders.set(provider.url, provider)
    },
    addRole({ name, trusts, trustActions = TRUST_ACTIONS, policy, maxSessionSeconds = 3600, ...more }) {
      const arn = `arn:aws:iam::${account}:role/${name}`
      const roleId = uniqueId(world, 'AROA')
      const attached = parsePolicy(JSON.stringify(policy))
      const createdAt = world.now()
      const inline = new Map()
      const webIdentity = more.webIdentity && { actions: WEB_IDENTITY_ACTIONS, ...more.webIdentity }
      const trust = { trusts, trustActions, webIdentity }
      const role = { name, arn, roleId, ...trust, attached, inline, maxSessionSeconds, createdAt }
      world.roles.set(name, role)
      return { arn, roleId }
    },
    putObject(bucket, key, body) {
      const keys = world.buckets.get(bucket) ?? new Map<string, Uint8Array>()
      world.buckets.set(bucket, keys.set(key, Buffer.from(body)))
    },
    credentials: () => credentials(world),
  }
  return aws
}

/** What a request asks for, before anything is known of who sent it. */
type Call =
  | { service: 'sts' | 'iam' | 'ec2'; operation: string; parameters: QueryParameters }
  | ({ service: 's3' } & S3Call)

async function handle(
  world: World,
  aws: Aws,
  sleep: (ms: number) => Promise<void>,
  request: Request,
): Promise<Response> {
  const body = new Uint8Array(await request.arrayBuffer())
  const signed = { method: request.method, url: new URL(request.url), headers: request.headers, body }
  const call = identify(signed)

  const before = await fault(aws, call.operation, 'before')
  if (before !== undefined) return before
  if (aws.latencyMs > 0) await sleep(aws.latencyMs)
  const response = await perform(world, call, signed)
  response.headers.set('date', new Date(world.now()).toUTCString())
  return (await fault(aws, call.operation, 'after')) ?? response
}

/** One service per API version; whatever is no form is S3. */
function identify({ method, url, headers, body }: SignedRequest): Call {
  const isForm = headers.get('content-type')?.startsWith('application/x-www-form-urlencoded') === true
  if (method === 'POST' && url.pathname === '/' && isForm) {
    const parameters = readQuery(body)
    const service = VERSIONS[parameters.get('Version') ?? '']
    const operation = parameters.get('Action') ?? 'unknown'
    if (service !== undefined) return { service, operation, parameters }
  }
  return { service: 's3', ...readS3Call(method, url.pathname) }
}

const VERSIONS: Readonly<Record<string, 'sts' | 'iam' | 'ec2'>> = {
  '2011-06-15': 'sts',
  '2010-05-08': 'iam',
  '2016-11-15': 'ec2',
}

async function perform(world: World, call: Call, signed: SignedRequest): Promise<Response> {
  const id = requestId(world)
  try {
    // The one call that nobody signs.
    if (call.service === 'sts' && call.operation === 'AssumeRoleWithWebIdentity') {
      return answer('sts', call.operation, id, await assumeRoleWithWebIdentity(world, call.parameters))
    }
    const authentic = authenticate(world, call.service, signed)
    if (!authentic.ok) throw authError(call.service, authentic.failure)
    const { principal } = authentic
    switch (call.service) {
      case 'sts':
        return answer('sts', call.operation, id, sts(world, principal, call.operation, call.parameters))
      case 'iam':
        return answer('iam', call.operation, id, iam(world, principal, call.operation, call.parameters))
      case 'ec2':
        return answer('ec2', call.operation, id, ec2(world, principal, call.operation, call.parameters))
      case 's3': {
        const response = s3(world, principal, call, signed.body)
        response.headers.set('x-amz-request-id', id)
        return response
      }
    }
  } catch (error) {
    if (error instanceof AwsError) return answerError(call.service, id, error)
    throw error
  }
}

async function fault(aws: Aws, operation: string, when: 'before' | 'after'): Promise<Response | undefined> {
  const decision = (await aws.faults?.({ provider: 'aws', operation, when })) ?? 'ok'
  if (decision === 'ok') return undefined
  if (decision === 'drop') throw new ConnectionDropped('aws', operation)
  const { status, headers = {}, body = null } = decision
  return new Response(body, { status, headers })
}
