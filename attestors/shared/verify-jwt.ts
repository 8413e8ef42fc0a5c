/**
 * The one way from a JWT to verified claims, in phases. Nothing is fetched before the trust root is known to
 * be ours, and no claim but the one that names the trust root is looked at before the signature holds.
 */
import { createHash, type KeyObject } from 'node:crypto'
import { compactVerify, errors } from 'jose'
import type { Evidence, Observe, Proof } from '../attestor.ts'
import { accept, type Checked, refuse } from './checked.ts'
import { type ClaimRules, checkClaims, LEEWAY_S, type RegisteredClaims } from './claims.ts'
import {
  type CompactJws,
  checkHeader,
  type HeaderRules,
  type JoseHeader,
  parseCompactJws,
  parseEvidence,
} from './compact-jws.ts'
import type { KeySource, KeySourceStatus } from './key-set.ts'
import { type JsonObject, member } from './strict-json.ts'
import { shown, tell } from './tell.ts'

export type JwtProfile = {
  header: HeaderRules
  claims: ClaimRules
  /** Accepts the trust root that the payload names (an issuer URL, `spiffe://domain`), or refuses. */
  trustRoot: (payload: JsonObject) => Checked<string>
  singleUse: boolean
}

export type VerifiedJwt = {
  issuer: string
  subject: string
  payload: JsonObject
  replay: Proof['replay']
}

/** The same of evidence; what is no JWT is refused. @throws AttestationUnavailable when the keys could not be had. */
export async function verifyEvidence(
  evidence: Evidence,
  profile: JwtProfile,
  keys: KeySource,
  now: () => number,
  observe?: Observe,
): Promise<Checked<VerifiedJwt>> {
  if (evidence.type !== 'jwt') return tell(observe, 'form', refuse('malformed', 'not a JWT'))
  return verifyParsed(evidence.token, parseEvidence(evidence), profile, { keys, now, observe })
}

/** @throws AttestationUnavailable when the keys could not be had. */
export async function verifyJwt(
  token: string,
  profile: JwtProfile,
  keys: KeySource,
  now: () => number,
): Promise<Checked<VerifiedJwt>> {
  return verifyParsed(token, parseCompactJws(token), profile, { keys, now, observe: undefined })
}

type Means = { keys: KeySource; now: () => number; observe: Observe | undefined }

async function verifyParsed(
  token: string,
  parsed: Checked<CompactJws>,
  profile: JwtProfile,
  { keys, now, observe }: Means,
): Promise<Checked<VerifiedJwt>> {
  tell(observe, 'form', parsed, () => ({ found: `${token.length} characters` }))
  if (!parsed.ok) return parsed
  const jws = parsed.value
  const header = checkHeader(jws.header, profile.header, observe)
  if (!header.ok) return header
  const issuer = tell(observe, 'trust_root', profile.trustRoot(jws.payload), () => ({
    found: shown(member(jws.payload, 'iss') ?? member(jws.payload, 'sub')),
  }))
  if (!issuer.ok) return issuer
  const key = tell(observe, 'key', await keys.find(header.value), () =>
    keyFigures(header.value, keys.status?.(), now()),
  )
  if (!key.ok) return key
  const signed = await checkSignature(token, header.value, key.value)
  tell(observe, 'signature', signed, () => ({ found: header.value.alg }))
  if (!signed.ok) return signed
  const claims = checkClaims(jws.payload, profile.claims, now(), observe)
  if (!claims.ok) return claims
  return accept({
    issuer: issuer.value,
    subject: claims.value.subject,
    payload: jws.payload,
    replay: {
      id: replayId(issuer.value, claims.value, jws),
      singleUse: profile.singleUse,
      until: (claims.value.expiresAtS + LEEWAY_S) * 1000,
      ...(claims.value.issuedAtS === undefined ? {} : { issuedAt: claims.value.issuedAtS * 1000 }),
    },
  })
}

export async function checkSignature(
  token: string,
  header: JoseHeader,
  key: KeyObject,
): Promise<Checked<undefined>> {
  try {
    await compactVerify(token, key, { algorithms: [header.alg] })
    return accept(undefined)
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) {
      return refuse('signature_invalid', 'the signature does not verify')
    }
    if (error instanceof errors.JOSEError) return refuse('signature_invalid', error.code)
    throw error
  }
}

function keyFigures({ kid }: JoseHeader, status: KeySourceStatus | undefined, nowMs: number) {
  if (status === undefined) return { found: `kid ${shown(kid)}` }
  const { from, readAtMs, keys, failure, serverAheadMs } = status
  const age = readAtMs === undefined ? '' : `, read ${Math.round((nowMs - readAtMs) / 1000)} s ago`
  const trouble = failure === undefined ? '' : `, and could not be read again: ${failure}`
  return {
    found: `kid ${shown(kid)}; ${keys} usable keys at ${from}${age}${trouble}`,
    ...(serverAheadMs === undefined ? {} : { clockAheadMs: serverAheadMs }),
  }
}

/**
 * The same for every spelling of one token: by (issuer, jti), else by the signed bytes. Never by the whole
 * token, because an ECDSA signature (r, s) has a twin (r, n - s) that verifies too.
 */
function replayId(issuer: string, claims: RegisteredClaims, jws: CompactJws): string {
  const named = claims.tokenId === undefined ? ['jws', jws.signingInput] : ['jti', issuer, claims.tokenId]
  return createHash('sha256').update(JSON.stringify(named)).digest('base64url')
}
