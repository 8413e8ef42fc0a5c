/** The conformance subject of attestors that trust an OIDC issuer: a key server on a real socket and a forger. */
import type { Attestor, AttestorDeps, AttestorType, Evidence } from '../../attestors/attestor.ts'
import { createOutbound } from '../../src/outbound.ts'
import type { AttestorSubject } from '../conformance/attestor.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { type KeyServer, startKeyServer } from '../fakes/identity/key-server.ts'

export const AUDIENCE = 'https://mayfly.test'
export const NOON = Date.UTC(2026, 10, 21, 12)

// Made once per test file: RSA keys are slow to make, and nothing changes them.
const forger = createForger({ algorithm: 'RS256', kid: 'good' })
const weak = createForger({ algorithm: 'RS256', kid: 'weak', modulusLength: 1024 })
const impostor = createForger({ algorithm: 'RS256', kid: 'good' })

/** Samples that only certificates have. */
export const NOT_OF_TOKENS = {
  certificate_not_acceptable: { impossible: 'a token is no certificate' },
  chain_not_trusted: { impossible: 'the key of a token is trusted itself, and no chain leads to it' },
}

export function jwt(token: string): Evidence {
  return { type: 'jwt', token }
}

/** Opens an attestor with plain settings, as the configuration file has them. */
export function open(
  type: AttestorType,
  settings: unknown,
  deps: Partial<Parameters<AttestorType['open']>[1]>,
) {
  return type.open(type.settings.parse(settings), {
    now: Date.now,
    fetch: () => Promise.reject(new Error('no network in this test')),
    readFile: () => Promise.reject(new Error('no files in this test')),
    schedule: () => () => {},
    jitter: () => 0,
    ...deps,
  })
}

/** What one type has beside the others. */
export type Own = {
  settings?: (issuer: string) => Record<string, unknown>
  /** Claims that make a subject not acceptable, where there are such. */
  badSubject?: Record<string, unknown>
  /** Claims of a token that the issuer no longer stands by, and what makes the server say so. */
  revoked?: Record<string, unknown>
  prepare?: (server: KeyServer) => void
  /** What the header of its tokens has, beside the algorithm and the key. */
  header?: Record<string, unknown>
  readFile?: (path: string) => Promise<string>
}

/**
 * `claims` are what the attestor needs beside the registered ones.
 */
export async function createIssuerSubject(
  type: AttestorType,
  claims: Record<string, unknown>,
  own: Own = {},
): Promise<AttestorSubject> {
  const server = await startKeyServer(forger.jwks(weak.key.publicJwk))
  own.prepare?.(server)
  const outbound = createOutbound({ allowLoopback: true })
  let nowMs = NOON
  let calls = 0
  let minted = 0

  function openFor(fetch: AttestorDeps['fetch']): Attestor {
    const counted: AttestorDeps['fetch'] = (url, how) => {
      calls += 1
      return fetch(url, how)
    }
    const settings = {
      ...{ max_age_seconds: 300, ...own.settings?.(server.issuer) },
      ...{ issuer: server.issuer, audience: AUDIENCE },
    }
    return open(type, settings, {
      ...{ now: () => nowMs, fetch: counted },
      ...(own.readFile === undefined ? {} : { readFile: own.readFile }),
    })
  }
  function payload(overrides: Record<string, unknown> = {}) {
    const iat = nowMs / 1000
    minted += 1
    const times = { iat, nbf: iat, exp: iat + 300, jti: `use-number-${minted}` }
    return { iss: server.issuer, aud: AUDIENCE, sub: 'a workload', ...times, ...claims, ...overrides }
  }
  const token = (by: typeof forger, overrides = {}, header = {}) =>
    by.token(payload(overrides), { ...own.header, ...header })
  const forged = (overrides: Record<string, unknown>, header?: Record<string, unknown>) => async () =>
    jwt(token(forger, overrides, header))

  return {
    open: () => openFor((url, { ca: _, ...how } = {}) => outbound.fetch(url, how)),
    openUnreachable: () => openFor(() => Promise.reject(new Error('connection refused'))),
    acceptable: forged({}),
    foreign: forged({ iss: 'https://issuer.elsewhere.test' }),
    samples: {
      malformed: async () => jwt(`${token(forger)}=`),
      header_not_allowed: forged({}, { crit: ['exp'] }),
      type_not_allowed: forged({}, { typ: 'at+jwt' }),
      algorithm_not_allowed:
        own.header === undefined
          ? async () =>
              jwt(forger.hmacToken(payload(), forger.key.publicKey.export({ format: 'pem', type: 'spki' })))
          : forged({}, { alg: 'HS256' }),
      issuer_not_trusted: forged({ iss: 'https://issuer.elsewhere.test' }),
      key_unknown: forged({}, { kid: 'a key of nobody' }),
      key_not_acceptable: async () => jwt(token(weak)),
      signature_invalid: async () => jwt(token(impostor)),
      claim_missing: forged({ exp: undefined }),
      claim_malformed: forged({ exp: '1800000000' }),
      audience_wrong: forged({ aud: [AUDIENCE, 'https://other.test'] }),
      expired: forged({ iat: NOON / 1000 - 361, nbf: undefined, exp: NOON / 1000 - 61 }),
      not_yet_valid: forged({ nbf: NOON / 1000 + 61 }),
      lifetime_too_long: forged({ exp: NOON / 1000 + 365 * 86_400 }),
      too_old: forged({ iat: NOON / 1000 - 400, nbf: undefined, exp: NOON / 1000 + 60 }),
      subject_not_acceptable:
        own.badSubject === undefined
          ? { impossible: 'any non-empty subject of a trusted issuer will do' }
          : forged(own.badSubject),
      revoked:
        own.revoked === undefined
          ? { impossible: 'a signature is checked offline, and the issuer is not asked' }
          : forged(own.revoked),
      ...NOT_OF_TOKENS,
    },
    outsideCalls: () => calls,
    now: () => nowMs,
    advance(ms) {
      nowMs += ms
    },
    async close() {
      await outbound.close()
      await server.close()
    },
  }
}
