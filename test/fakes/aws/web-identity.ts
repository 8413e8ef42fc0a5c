/**
 * AssumeRoleWithWebIdentity: an unsigned call whose token is judged by the key set that its issuer publishes,
 * fetched as AWS does. AWS STS API Reference, "AssumeRoleWithWebIdentity"; tags and source identity are claims
 * of the token (IAM User Guide, "Pass session tags in AWS STS").
 */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'
import { assumeRoleLimits, readAssumeRole } from './assume-role-input.ts'
import { AwsError } from './aws-error.ts'
import type { QueryParameters } from './query.ts'
import { openSession } from './sts.ts'
import {
  isoSeconds,
  type Principal,
  principalArn,
  principalUserId,
  type Role,
  type Tag,
  type World,
} from './world.ts'
import type { Xml } from './xml.ts'

/** An OIDC provider of the account. `fetch` reads its documents, however its URL is reached from here. */
export type OidcProvider = {
  url: string
  audiences: readonly string[]
  fetch: (url: string) => Promise<unknown>
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.string() })
const tagClaims = z.object({
  principal_tags: z.record(z.string(), z.array(z.string()).length(1)),
  transitive_tag_keys: z.array(z.string()).default([]),
})

/** Nobody signed the call. */
const NOBODY: Principal = {
  kind: 'user',
  name: 'web identity',
  arn: 'web-identity',
  userId: 'web-identity',
  accessKeyId: 'web-identity',
  secretAccessKey: '',
  policy: undefined,
}

/** The content of `<AssumeRoleWithWebIdentityResult>`. @throws AwsError */
export async function assumeRoleWithWebIdentity(world: World, parameters: QueryParameters): Promise<Xml> {
  for (const taken of ['Tags.member.1.Key', 'SourceIdentity']) {
    if (parameters.get(taken) !== undefined)
      throw new AwsError(400, 'ValidationError', `${taken} is a claim here`)
  }
  const input = readAssumeRole(parameters, NOBODY)
  const role = [...world.roles.values()].find(({ arn }) => arn === input.roleArn)
  const token = parameters.get('WebIdentityToken') ?? ''
  const { provider, claims } = await verify(world, token)
  const tags = tagsOf(claims)
  const sourceIdentity = z.string().optional().parse(claims['https://aws.amazon.com/source_identity'])
  authorizeTrust(role, provider, claims, { tags, sourceIdentity })
  const { durationSeconds, packedPercent } = assumeRoleLimits({ ...input, tags }, role, NOBODY)
  const session = openSession(world, role, {
    ...{ sessionName: input.sessionName, sourceIdentity, tags, transitiveTagKeys: [] },
    ...{ policy: input.policy, durationSeconds, issuedTo: provider.url },
  })
  return {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: isoSeconds(session.expiresAt),
    },
    SubjectFromWebIdentityToken: claims.sub,
    AssumedRoleUser: { AssumedRoleId: principalUserId(session), Arn: principalArn(world, session) },
    PackedPolicySize: packedPercent,
    Provider: provider.url,
    Audience: String(claims.aud),
    SourceIdentity: sourceIdentity,
  }
}

async function verify(world: World, token: string): Promise<{ provider: OidcProvider; claims: JWTPayload }> {
  const issuer = issuerOf(token)
  const provider = world.oidcProviders.get(issuer)
  if (provider === undefined) throw invalid('No OpenIDConnect provider found in your account for the issuer')
  const keys = await keysOf(provider)
  try {
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      issuer,
      audience: [...provider.audiences],
      algorithms: ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'],
      requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat'],
      currentDate: new Date(world.now()),
    })
    if (!Number.isInteger(payload.exp) || !Number.isInteger(payload.iat))
      throw invalid('times must be integers')
    return { provider, claims: payload }
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new AwsError(400, 'ExpiredTokenException', 'Token expired')
    throw error instanceof AwsError ? error : invalid('Couldn’t verify the token')
  }
}

async function keysOf({ url, fetch }: OidcProvider): Promise<JSONWebKeySet> {
  try {
    const { issuer, jwks_uri } = discovery.parse(await fetch(`${url}/.well-known/openid-configuration`))
    if (issuer !== url) throw new Error('another issuer')
    return (await fetch(jwks_uri)) as JSONWebKeySet
  } catch {
    throw new AwsError(
      400,
      'IDPCommunicationError',
      'Couldn’t retrieve verification key from your identity provider',
    )
  }
}

/** @throws AwsError `AccessDenied`, for a role that does not exist, too */
function authorizeTrust(
  role: Role | undefined,
  provider: OidcProvider,
  claims: JWTPayload,
  { tags, sourceIdentity }: { tags: readonly Tag[]; sourceIdentity: string | undefined },
): asserts role is Role {
  const trust = role?.webIdentity
  const needed = [
    'sts:AssumeRoleWithWebIdentity',
    ...(tags.length > 0 ? ['sts:TagSession'] : []),
    ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ]
  if (trust?.provider === provider.url && trust.subject === claims.sub) {
    if (needed.every(action => trust.actions.includes(action))) return
  }
  throw new AwsError(403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity')
}

function tagsOf(claims: JWTPayload): Tag[] {
  const claim = claims['https://aws.amazon.com/tags']
  if (claim === undefined) return []
  const parsed = tagClaims.safeParse(claim)
  if (!parsed.success) throw invalid('The tags claim is malformed')
  return Object.entries(parsed.data.principal_tags).map(([key, [value = '']]) => ({ key, value }))
}

function issuerOf(token: string): string {
  try {
    return decodeJwt(token).iss ?? ''
  } catch {
    throw invalid('The ID Token provided is not a valid JWT')
  }
}

function invalid(message: string): AwsError {
  return new AwsError(400, 'InvalidIdentityToken', message)
}
