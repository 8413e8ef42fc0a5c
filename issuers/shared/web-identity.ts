/**
 * Sessions without an AWS key: Mayfly signs an identity token of its own, and AWS checks it against the key set
 * that Mayfly publishes (AWS STS API Reference, "AssumeRoleWithWebIdentity").
 */
import { AssumeRoleWithWebIdentityCommand } from '@aws-sdk/client-sts'
import { type IssuerDeps, ProviderUnavailable } from '../issuer.ts'
import { type AwsFailure, failureKind } from './aws-failure.ts'
import { type AwsKeys, type StsEndpoint, stsClient } from './sts-client.ts'

/** What an IAM OIDC provider is made with; nothing else that Mayfly signs carries it. */
export const WEB_IDENTITY_AUDIENCE = 'sts.amazonaws.com'
/** How long the intent to mint may be acted on: the token is of no use after it. */
export const WEB_IDENTITY_WINDOW_MS = 2 * 60_000

/** AssumeRole's own floor. */
const OWN_SESSION_S = 900
/** The broker's own session is replaced this long before it ends. */
const RENEW_MS = 5 * 60_000

type Signer = NonNullable<IssuerDeps['webIdentity']>

/** `purpose` is in the subject: `mayfly:<instance>:task` and `mayfly:<instance>:broker` are trusted by different roles. */
export type WebIdentity = {
  token(
    purpose: 'task' | 'broker',
    to: { id: string; notAfter: number; tags?: Readonly<Record<string, string>>; sourceIdentity?: string },
  ): Promise<string>
}

export function webIdentity({ webIdentity: signer, name = 'aws', now }: IssuerDeps): WebIdentity {
  if (signer === undefined) throw new Error('this host signs no web identity tokens')
  return {
    token: (purpose, { id, notAfter, tags, sourceIdentity }) =>
      (signer satisfies Signer).sign('JWT', {
        iss: signer.issuerUrl,
        sub: `mayfly:${name}:${purpose}`,
        aud: WEB_IDENTITY_AUDIENCE,
        jti: id,
        iat: Math.floor(now() / 1000),
        exp: Math.floor(notAfter / 1000),
        // IAM User Guide, "Pass session tags in AWS STS", AssumeRoleWithWebIdentity.
        ...(tags && {
          'https://aws.amazon.com/tags': {
            principal_tags: Object.fromEntries(Object.entries(tags).map(([key, value]) => [key, [value]])),
            transitive_tag_keys: [],
          },
        }),
        ...(sourceIdentity && { 'https://aws.amazon.com/source_identity': sourceIdentity }),
      }),
  }
}

/** An unsigned call: the token is all the proof there is. */
export function webIdentityClient(endpoint: StsEndpoint, deps: IssuerDeps) {
  return stsClient(endpoint, { accessKeyId: '', secretAccessKey: '' }, deps.now(), deps)
}

/** The broker's own session in its own role, for writing role policies; replaced before it ends. */
export function brokerSession(
  identity: WebIdentity,
  role: string,
  endpoint: StsEndpoint,
  deps: IssuerDeps,
): () => Promise<AwsKeys> {
  let held: { keys: AwsKeys; until: number } | undefined
  return async () => {
    const now = deps.now()
    if (held !== undefined && now < held.until - RENEW_MS) return held.keys
    held = await assumeOwn(identity, role, endpoint, deps, now)
    return held.keys
  }
}

async function assumeOwn(
  identity: WebIdentity,
  role: string,
  endpoint: StsEndpoint,
  deps: IssuerDeps,
  now: number,
): Promise<{ keys: AwsKeys; until: number }> {
  const name = deps.name ?? 'aws'
  const token = await identity.token('broker', {
    id: `${name}-${now}`,
    notAfter: now + WEB_IDENTITY_WINDOW_MS,
  })
  const client = webIdentityClient(endpoint, deps)
  try {
    const { Credentials } = await client.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: role,
        RoleSessionName: `mayfly-${name}`.slice(0, 64),
        WebIdentityToken: token,
        DurationSeconds: OWN_SESSION_S,
      }),
    )
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = Credentials ?? {}
    if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration) {
      throw new ProviderUnavailable('the answer of AWS STS cannot be read')
    }
    const keys = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
    return { keys, until: Expiration.getTime() }
  } catch (error) {
    if (error instanceof ProviderUnavailable) throw error
    const failure = error as AwsFailure
    // Not the SDK's error itself: it may hold the answer, and the answer a session.
    const why = `${failure.name ?? 'unknown failure'}, ${failureKind(failure)}`
    throw new ProviderUnavailable(
      `AWS does not let the broker into ${role} (${why})${unread(failure, deps.webIdentity)}`,
    )
  } finally {
    client.destroy()
  }
}

/** AWS checks the signature by keys that it fetches: where it cannot, nothing is wrong with role or token. */
function unread({ name = '' }: AwsFailure, signer: IssuerDeps['webIdentity']): string {
  if (!/^(IDPCommunicationError|InvalidIdentityToken)/.test(name)) return ''
  return (
    `: it reads the keys of Mayfly at ${signer?.issuerUrl}/.well-known/jwks.json, which must answer AWS while ` +
    'sessions are ended (docs/aws.md)'
  )
}
