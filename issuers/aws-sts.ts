/**
 * `aws-sts`: temporary AWS credentials for one role, by AssumeRole with a session policy.
 *
 * A session stops at the deadline its policy carries. With `revocation` it is ended before, alone, by a Deny on
 * its role that names it. The role's trust policy must allow sts:AssumeRole, sts:SetSourceIdentity and
 * sts:TagSession to the broker.
 */
import {
  AssumeRoleCommand,
  type AssumeRoleCommandOutput,
  AssumeRoleWithWebIdentityCommand,
  type STSClient,
} from '@aws-sdk/client-sts'
import { z } from 'zod'
import {
  defineIssuer,
  type Grant,
  type Issued,
  type Issuer,
  ProviderUnavailable,
  type Refused,
} from './issuer.ts'
import { type AwsAsk, awsAsk, awsCovers, awsFacts, roleArn } from './shared/aws-ask.ts'
import { credentialSettings, credentialsOf, isWebIdentity } from './shared/aws-credentials.ts'
import { probeStatement } from './shared/aws-probe-call.ts'
import { awsRevocation, revocationSettings } from './shared/aws-revocation.ts'
import { MAX_POLICY_CHARACTERS, policyDeadline, sessionPolicy } from './shared/aws-session-policy.ts'
import { beforeMint } from './shared/before-mint.ts'
import { providerUrl } from './shared/provider-url.ts'
import { Secret } from './shared/secret.ts'
import { stsClient } from './shared/sts-client.ts'
import { stsRefusal } from './shared/sts-refusal.ts'
import {
  WEB_IDENTITY_WINDOW_MS,
  type WebIdentity,
  webIdentity,
  webIdentityClient,
} from './shared/web-identity.ts'

/** AWS accepts a signature for a quarter of an hour around its date (SigV4). */
const MINT_WINDOW_MS = 15 * 60_000
/** AssumeRole's own floor. */
const SHORTEST_SESSION_S = 900

const settings = z
  .strictObject({
    region: z.string().regex(/^[a-z0-9-]{1,32}$/),
    /** Another STS endpoint than the region's own: a VPC endpoint, or a stand-in. */
    endpoint: providerUrl.optional(),
    /** The only roles this issuer assumes. Absent: any role that trusts the broker. */
    roles: z.array(roleArn).min(1).max(256).optional(),
    external_id: z.string().min(2).max(1224).optional(),
    /** The longest session to ask for. A role's own maximum is one to twelve hours; a chained role's one hour. */
    max_session_minutes: z.int().min(15).max(720).default(60),
    credentials: credentialSettings.default('ambient'),
    /** Absent: a session is not ended before its deadline. */
    revocation: revocationSettings.optional(),
  })
  .refine(({ credentials, revocation }) => credentials !== 'web_identity' || revocation === undefined, {
    path: ['credentials'],
    error:
      'to end sessions, name the role in which the broker does it: { web_identity: { broker_role: ... } }',
  })
type Settings = z.infer<typeof settings>
/** What both calls answer alike. */
type Answer = Pick<AssumeRoleCommandOutput, 'Credentials' | 'AssumedRoleUser'>

export const awsSts = defineIssuer<Settings, AwsAsk>({
  type: 'aws-sts',
  settings,
  usesHost: ({ credentials }) =>
    credentials === 'ambient' ? 'the AWS credentials of the broker’s host' : undefined,
  open(settings, deps): Issuer<AwsAsk> {
    const endpoint = { region: settings.region, endpoint: settings.endpoint }
    const identity = isWebIdentity(settings.credentials) ? webIdentity(deps) : undefined
    const credentials = credentialsOf(settings.credentials, endpoint, deps)

    const revocation =
      settings.revocation && awsRevocation(settings.revocation, { ...endpoint, credentials }, deps)
    const isReached = (ask: AwsAsk) => revocation?.reaches(ask) ?? false

    return {
      revocability: revocation === undefined ? 'expiry_only' : 'propagating',
      revocabilityOf: ask => (isReached(ask) ? 'propagating' : 'expiry_only'),
      notices: notices(settings),
      secretFormat: 'json',
      // A probe is signed by the session itself.
      holdsSecret: revocation !== undefined,
      mintsLocally: false,
      mintWindowMs: identity === undefined ? MINT_WINDOW_MS : WEB_IDENTITY_WINDOW_MS,
      longestLifeMs: settings.max_session_minutes * 60_000,
      ask: awsAsk,
      covers: awsCovers,
      facts: awsFacts,
      resourceTypes: { Role: ['Account'] },

      async issue(grant) {
        const now = deps.now()
        const policy = policyFor(grant, settings, isReached(grant.ask))
        const refusal = refuse(grant, policy, settings, now)
        if (refusal) return refusal
        const session = sessionOf(grant, policy, settings, now)
        if (identity !== undefined) {
          const token = await beforeMint(() => tokenFor(identity, grant))
          const command = new AssumeRoleWithWebIdentityCommand({ ...session, WebIdentityToken: token })
          return mint(webIdentityClient(endpoint, deps), client => client.send(command), grant, settings)
        }
        // AWS counts its quarter of an hour from the signature's date: the date is what ends the permission to mint.
        const signedAt = Math.min(now, grant.mintNotAfter - MINT_WINDOW_MS)
        const client = stsClient(endpoint, await beforeMint(credentials), signedAt, deps)
        const command = assumeRole(grant, session, settings)
        return mint(client, client => client.send(command), grant, settings)
      },

      // The host never asks for it; said plainly in case it does.
      revoke: async () => {
        throw new Error('an AWS session is ended by its role, or at its deadline, and never by itself')
      },
      async probe(lease) {
        if (revocation !== undefined && isReached(lease.ask)) return revocation.probe(lease)
        // AWS has no call that tells of another's session.
        return lease.providerExpiresAt !== undefined && deps.now() >= lease.providerExpiresAt
          ? 'dead'
          : 'unknown'
      },
      async surplus(ceilings) {
        const needed = new Set(ceilings.map(({ role }) => role))
        const idle = settings.roles?.filter(role => !needed.has(role)) ?? []
        return idle.map(role => ({ where: role, right: 'sts:AssumeRole' }))
      },
      ...(revocation && { group: ({ role }) => role, revokeGroup: revocation.revokeGroup }),
    }
  },
})

/** What these settings leave to expiry. */
function notices({ revocation, roles = [] }: Settings): string[] {
  const deadline = 'sessions live to the deadline in their policy, whenever their task ends'
  if (revocation === undefined) return [`without \`revocation\`, ${deadline}`]
  const outside = roles.filter(role => revocation.roles?.includes(role) === false)
  return [
    ...outside.map(role => `${role} is not among revocation.roles: its ${deadline}`),
    `an ask with allow_role_chaining may reach other roles: such ${deadline}`,
  ]
}

function policyFor(grant: Grant<AwsAsk>, { revocation }: Settings, isReached: boolean): string {
  const partition = grant.ask.role.split(':')[1] ?? 'aws'
  const probe = isReached && revocation ? probeStatement(revocation.probe, partition) : undefined
  return sessionPolicy(grant.ask, grant.expiresAt, probe)
}

function refuse(grant: Grant<AwsAsk>, policy: string, settings: Settings, now: number): Refused | undefined {
  if (now >= grant.mintNotAfter) {
    return { ok: false, reason: 'rejected', detail: 'the time to open this session has passed' }
  }
  if (policyDeadline(grant.expiresAt) <= now) {
    return { ok: false, reason: 'rejected', detail: 'the deadline leaves less than a second to live' }
  }
  if (settings.roles && !settings.roles.includes(grant.ask.role)) {
    return { ok: false, reason: 'not_permitted', detail: `${grant.ask.role} is not on this issuer's list` }
  }
  if (policy.length > MAX_POLICY_CHARACTERS) {
    const detail = `the session policy has ${policy.length} characters and AWS takes ${MAX_POLICY_CHARACTERS}: ask for less, or with fewer and wider patterns`
    return { ok: false, reason: 'rejected', detail }
  }
  return undefined
}

type Session = { RoleArn: string; RoleSessionName: string; DurationSeconds: number; Policy: string }

/** The lease id is the session's name: CloudTrail and later denials name the lease by it. */
function sessionOf(grant: Grant<AwsAsk>, policy: string, settings: Settings, now: number): Session {
  const wanted = Math.ceil((grant.expiresAt - now) / 1000)
  return {
    RoleArn: grant.ask.role,
    RoleSessionName: grant.lease,
    DurationSeconds: Math.max(SHORTEST_SESSION_S, Math.min(wanted, settings.max_session_minutes * 60)),
    Policy: policy,
  }
}

function tagsOf({ lease, task, agent }: Grant<AwsAsk>): Record<string, string> {
  return { 'mayfly:lease': lease, 'mayfly:task': task, 'mayfly:agent': agent }
}

function assumeRole(grant: Grant<AwsAsk>, session: Session, settings: Settings): AssumeRoleCommand {
  return new AssumeRoleCommand({
    ...session,
    SourceIdentity: grant.lease,
    Tags: Object.entries(tagsOf(grant)).map(([Key, Value]) => ({ Key, Value })),
    ...(settings.external_id !== undefined && { ExternalId: settings.external_id }),
  })
}

/** Tags and source identity are claims of the token: this call has no parameters for them. */
function tokenFor(identity: WebIdentity, grant: Grant<AwsAsk>): Promise<string> {
  const { lease: id, mintNotAfter: notAfter } = grant
  return identity.token('task', { id, notAfter, tags: tagsOf(grant), sourceIdentity: id })
}

async function mint(
  client: STSClient,
  send: (client: STSClient) => Promise<Answer>,
  grant: Grant<AwsAsk>,
  settings: Settings,
): Promise<Issued<AwsAsk> | Refused> {
  try {
    return issuedFrom(await send(client), grant, settings)
  } catch (error) {
    return stsRefusal(error, grant.ask.role)
  } finally {
    client.destroy()
  }
}

/**
 * AWS does not say what it granted: the session policy is what was asked, and AWS takes it whole or not at all.
 * @throws ProviderUnavailable without readable credentials: a session exists, and nobody has it.
 */
function issuedFrom(answer: Answer, grant: Grant<AwsAsk>, settings: Settings): Issued<AwsAsk> {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer.Credentials ?? {}
  const sessionEnd = Expiration?.getTime() ?? Number.NaN
  if (!AccessKeyId || !SecretAccessKey || !SessionToken || Number.isNaN(sessionEnd)) {
    throw new ProviderUnavailable('AWS opened a session, and its answer cannot be read')
  }
  const expiration = new Date(sessionEnd).toISOString()
  return {
    ok: true,
    secret: new Secret(
      JSON.stringify({ AccessKeyId, SecretAccessKey, SessionToken, Expiration: expiration }),
    ),
    granted: grant.ask,
    // The session lives on to `sts_expiration` (at least a quarter of an hour), but every Allow in its policy
    // ends at the deadline: from there on it is of no use, whatever anyone does.
    providerExpiresAt: Math.min(policyDeadline(grant.expiresAt), sessionEnd),
    details: {
      account: grant.ask.role.split(':')[4] ?? '',
      region: settings.region,
      role_arn: grant.ask.role,
      session_arn: answer.AssumedRoleUser?.Arn ?? '',
      assumed_role_id: answer.AssumedRoleUser?.AssumedRoleId ?? '',
      sts_expiration: expiration,
    },
  }
}
