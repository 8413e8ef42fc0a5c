/** The conformance subject of JWT-SVIDs, wherever their trust domain's bundle comes from. */
import type { Attestor, AttestorDeps } from '../../attestors/attestor.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import type { AttestorSubject } from '../conformance/attestor.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { createSigningKey } from '../fakes/identity/signing-key.ts'
import { createSpiffeAuthority, type SvidRequest } from '../fakes/identity/spiffe-authority.ts'
import { AUDIENCE, jwt, NOON, NOT_OF_TOKENS, open } from './issuer-subject.ts'

const TRUST_DOMAIN = 'acme.test'
const WORKLOAD = `spiffe://${TRUST_DOMAIN}/agent/coder`

export type BundleStage = {
  /** Beside `trust_domain` and `audience`. */
  settings: Record<string, unknown>
  /** The same with nothing where the bundle should be. */
  unreachable: Record<string, unknown>
  deps: Partial<AttestorDeps>
  /** How often a bundle was asked for. */
  calls(): number
  close(): Promise<void>
}

// Made once per test file: RSA keys are slow to make, and nothing changes them.
const small = createSigningKey('RS256', 'small', { modulusLength: 1024 })

/** @param stage puts up what gives the bundle */
export async function createSvidSubject(
  stage: (bundle: () => string) => Promise<BundleStage>,
): Promise<AttestorSubject> {
  const clock = { ms: NOON }
  const now = () => clock.ms
  const authority = createSpiffeAuthority({ trustDomain: TRUST_DOMAIN, now, audience: AUDIENCE })
  const impostor = createForger({ kid: authority.key.kid })
  const { settings, unreachable, deps, calls, close } = await stage(() => {
    const bundle = JSON.parse(authority.bundle())
    bundle.keys.push({ ...small.publicJwk, use: 'jwt-svid' })
    return JSON.stringify(bundle)
  })
  const opened: Attestor[] = []
  const openWith = (bundle: Record<string, unknown>): Attestor => {
    const plain = { trust_domain: TRUST_DOMAIN, audience: AUDIENCE, max_age_seconds: 1800 }
    const attestor = open(spiffeJwt, { ...plain, ...bundle }, { now, ...deps })
    opened.push(attestor)
    return attestor
  }
  let minted = 0
  const svid = (request: Partial<SvidRequest>) => async () => {
    minted += 1
    const claims = { note: `svid number ${minted}`, ...request.claims }
    return jwt(authority.mintSvid({ sub: WORKLOAD, ...request, claims }))
  }
  const noonS = NOON / 1000
  const elsewhere = 'spiffe://elsewhere.test/agent/coder'
  return {
    open: () => openWith(settings),
    openUnreachable: () => openWith(unreachable),
    acceptable: svid({}),
    foreign: svid({ sub: elsewhere }),
    samples: {
      malformed: async () => jwt(`${authority.mintSvid({ sub: WORKLOAD })} `),
      header_not_allowed: svid({ header: { x5t: 'dGh1bWI' } }),
      type_not_allowed: svid({ header: { typ: 'wit+jwt' } }),
      algorithm_not_allowed: svid({ header: { alg: 'EdDSA' } }),
      issuer_not_trusted: svid({ sub: elsewhere }),
      key_unknown: svid({ header: { kid: 'a key of nobody' } }),
      key_not_acceptable: svid({ header: { alg: 'RS256', kid: 'small' } }),
      signature_invalid: async () =>
        jwt(impostor.token({ sub: WORKLOAD, aud: AUDIENCE, exp: noonS + 60 }, { kid: authority.key.kid })),
      claim_missing: svid({ claims: { exp: undefined } }),
      claim_malformed: svid({ claims: { exp: noonS + 0.5 } }),
      audience_wrong: svid({ aud: `${AUDIENCE}/` }),
      expired: svid({ claims: { iat: noonS - 361, exp: noonS - 61 } }),
      not_yet_valid: svid({ claims: { iat: noonS + 61 } }),
      lifetime_too_long: svid({ ttlS: 86_400 }),
      too_old: svid({ claims: { iat: noonS - 1861, exp: noonS + 60 } }),
      subject_not_acceptable: svid({ sub: `spiffe://${TRUST_DOMAIN}` }),
      revoked: { impossible: 'a signature is checked offline, and the issuer is not asked' },
      ...NOT_OF_TOKENS,
    },
    outsideCalls: calls,
    now,
    advance(ms) {
      clock.ms += ms
    },
    async close() {
      for (const attestor of opened) attestor.close?.()
      await close()
    },
  }
}
