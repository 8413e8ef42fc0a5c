/**
 * ID tokens of humans (OpenID Connect Core 1.0 section 3.1.3.7), verified by the core that verifies workloads'
 * evidence: exact issuer, one audience, the configured algorithms, strict JSON, times within bounds.
 *
 * A human is issuer and subject. Name, mail address and groups are what the provider says of them: the address
 * identifies nobody, whatever `email_verified` says.
 */
import type { AttestorDeps } from '../../../attestors/attestor.ts'
import type { Algorithm } from '../../../attestors/shared/algorithms.ts'
import { accept, type Checked, refuse } from '../../../attestors/shared/checked.ts'
import { oidcKeys, oidcProfile } from '../../../attestors/shared/oidc-profile.ts'
import { readAuthTime, readNonce, readPerson, textOf } from '../../../attestors/shared/person.ts'
import { member } from '../../../attestors/shared/strict-json.ts'
import { type VerifiedJwt, verifyJwt } from '../../../attestors/shared/verify-jwt.ts'
import type { OnBehalfOf } from '../../../issuers/issuer.ts'
import { LIMITS } from '../../limits.ts'

export type HumanToken = {
  issuer: string
  subject: string
  name: string
  email?: string
  groups: readonly string[]
  nonce?: string
  /** When they proved who they are, epoch ms. */
  authenticatedAt?: number
  acr?: string
  /** What a provider knows them as, where the settings say which claim has it and the token does. */
  accounts?: OnBehalfOf['accounts']
  replay: VerifiedJwt['replay']
}

/** @throws AttestationUnavailable where the provider's keys could not be had */
export type HumanVerifier = (token: string) => Promise<Checked<HumanToken>>

export type HumanTokenSettings = {
  issuer: string
  clientId: string
  /** What `aud` must be, alone. */
  audience: string
  algorithms: readonly Algorithm[]
  jwksUri?: string | undefined
  jwksHosts: readonly string[]
  groupsClaim: string
  nameClaim: string
  emailClaim: string
  /** Claims that say what the human is called at a provider. */
  account?: { provider: string; login: string; id?: string }
}

/** Longest `exp - iat` of an ID token: providers give up to a day. Its age is bounded in any case. */
const MAX_LIFETIME_S = 86_400

export function createHumanVerifier(
  settings: HumanTokenSettings,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): HumanVerifier {
  const { issuer, algorithms, jwksUri, jwksHosts } = settings
  const provider = { issuer, algorithms, jwksUri, jwksHosts }
  const keys = oidcKeys(provider, deps)
  const profile = oidcProfile(provider, {
    audience: settings.audience,
    maxLifetimeS: MAX_LIFETIME_S,
    maxAgeS: LIMITS.freshSignInMs / 1_000,
    requireIssuedAt: true,
    // Few providers put a `jti` into ID tokens: then single use goes by the signed bytes.
    requireTokenId: false,
  })
  return async token => {
    const verified = await verifyJwt(token, profile, keys, deps.now)
    return verified.ok ? readHuman(verified.value, settings) : verified
  }
}

function readHuman(
  { issuer, subject, payload, replay }: VerifiedJwt,
  settings: HumanTokenSettings,
): Checked<HumanToken> {
  const authorized = member(payload, 'azp')
  if (authorized !== undefined && authorized !== settings.clientId)
    return refuse('audience_wrong', 'azp is not the configured client')
  const { groupsClaim: groups, nameClaim: name, emailClaim: email, account } = settings
  const person = readPerson(payload, { groups, name, email, account }, subject)
  if (!person.ok) return person
  const authTime = readAuthTime(payload)
  if (!authTime.ok) return authTime
  const nonce = readNonce(payload)
  if (!nonce.ok) return nonce
  const acr = textOf(payload, 'acr')
  return accept({
    ...{ issuer, subject, replay, ...person.value },
    ...(nonce.value === undefined ? {} : { nonce: nonce.value }),
    ...(authTime.value === undefined ? {} : { authenticatedAt: authTime.value * 1_000 }),
    ...(acr === undefined ? {} : { acr }),
  })
}
