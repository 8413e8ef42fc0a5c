/**
 * Tokens that begin as good ones and are changed: nothing throws where a rejection belongs, and nothing is accepted
 * that a reading of the RFCs refuses. `MAYFLY_FUZZ_CASES` says how many; the gate runs ten thousand.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AttestationUnavailable, type Attestor, type Check, type Proof } from '../../attestors/attestor.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { at, type Claims, type Expectation, isNumeral, judgeByTheBook } from './fuzz-reference.ts'
import { FUZZ_SUBJECTS, type FuzzSubject, ISSUER } from './fuzz-subjects.ts'
import { buildToken, type Change, changes, type Signers } from './fuzz-token.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'

const CASES = Number(process.env.MAYFLY_FUZZ_CASES ?? 400)
const MINUTES = 60_000
const nowS = NOON / 1000
/** A signature by RSA costs ten of ECDSA's. */
const SHARES = FUZZ_SUBJECTS.map(({ algorithm }) => (algorithm === 'RS256' ? 1 : 2))
const allShares = SHARES.reduce((sum, share) => sum + share, 0)

const signersOf: Record<'ES256' | 'RS256', Signers> = { ES256: signers('ES256'), RS256: signers('RS256') }

describe.each(
  FUZZ_SUBJECTS.map((subject, index) => ({ name: subject.type.type, subject, share: SHARES[index]! })),
)('$name', ({ subject, share }) => {
  const by = signersOf[subject.algorithm === 'RS256' ? 'RS256' : 'ES256']
  const stage = stageOf(subject, by)
  const runs = Math.max(20, Math.round((CASES * share) / allShares))

  test(
    `takes none of ${runs} that the standards refuse`,
    async () => {
      let accepted = 0
      let acceptedChanged = 0
      await fc.assert(
        fc.asyncProperty(stage.changes, async wanted => {
          const token = stage.token(wanted)
          const checks: Check[] = []
          const verdict = await stage.attestor.attest(jwt(token), check => void checks.push(check))
          expect(checks.map(({ passed }) => passed)).toEqual(
            checks.map((_, n) => verdict.ok || n < checks.length - 1),
          )
          if (!verdict.ok) {
            expect(verdict).toMatchObject({ rejection: checks.at(-1)?.rejection })
            return
          }
          const claims = await judgeByTheBook(token, stage.expectation)
          if (typeof claims === 'string') throw new Error(`accepted, where the standards say: ${claims}`)
          expectSame(verdict.proof, claims, subject)
          accepted += 1
          if (wanted.length > 0) acceptedChanged += 1
        }),
        { numRuns: runs },
      )
      expect(accepted / runs).toBeGreaterThanOrEqual(0.05)
      expect(acceptedChanged).toBeGreaterThan(0)
    },
    600 * MINUTES,
  )

  test(
    'never says yes, and throws nothing but an outage, where the keys cannot be had',
    async () => {
      await fc.assert(
        fc.asyncProperty(stage.changes, async wanted => {
          const outcome = await stage.unreachable
            .attest(jwt(stage.token(wanted)))
            .catch((error: unknown) => error)
          if (!(outcome instanceof AttestationUnavailable)) expect(outcome).toMatchObject({ ok: false })
        }),
        { numRuns: Math.max(10, Math.round(runs / 10)) },
      )
    },
    600 * MINUTES,
  )
})

test('a token that nobody changed passes by the book, so the book is no wall', async () => {
  for (const subject of FUZZ_SUBJECTS) {
    const stage = stageOf(subject, signersOf[subject.algorithm === 'RS256' ? 'RS256' : 'ES256'])
    expect(await judgeByTheBook(stage.token([]), stage.expectation)).toBeInstanceOf(Map)
  }
})

function stageOf(subject: FuzzSubject, by: Signers) {
  const { type, algorithm, settings } = subject
  const isSpiffe = type.type === 'spiffe-jwt'
  const use = isSpiffe ? 'jwt-svid' : 'sig'
  const counted = [by.good, by.second, by.weak, by.other, by.double]
  const published: Record<string, unknown>[] = counted.map(({ key }) => ({ ...key.publicJwk, use }))
  published.push({ ...by.twin.key.publicJwk, use, kid: 'double' })
  const keySet = { keys: published, ...(isSpiffe ? { spiffe_sequence: 1 } : {}) }
  const claims = {
    ...(isSpiffe ? {} : { iss: ISSUER }),
    ...{ aud: AUDIENCE, iat: nowS, nbf: nowS, exp: nowS + 300, jti: 'one use' },
    ...subject.claims,
  }
  const expectation: Expectation = { ...subject.expectation, keys: published, nowS }
  const attestor: Attestor = open(type, settings, {
    now: () => NOON,
    fetch: async url =>
      Response.json(url.includes('.well-known') ? { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` } : keySet),
    readFile: async () => JSON.stringify(keySet),
  })
  return {
    attestor,
    unreachable: open(type, settings, { now: () => NOON }),
    expectation,
    changes: changes({ names: Object.keys(claims), subjects: subject.subjects, nowS }),
    token: (wanted: readonly Change[]) =>
      buildToken(by, { algorithm, kid: 'good', typ: subject.typ, claims }, wanted),
  }
}

function signers(algorithm: 'ES256' | 'RS256'): Signers {
  const other = algorithm === 'ES256' ? 'RS256' : 'ES256'
  return {
    good: createForger({ algorithm, kid: 'good' }),
    second: createForger({ algorithm, kid: 'second' }),
    other: createForger({ algorithm: other, kid: 'other' }),
    weak: createForger({ algorithm: 'RS256', kid: 'weak', modulusLength: 1024 }),
    double: createForger({ algorithm, kid: 'double' }),
    twin: createForger({ algorithm, kid: 'good' }),
  }
}

/** What was proven is what the token says, letter for letter and with its types. */
function expectSame(
  { subject: sub, claims: proven, replay }: Proof,
  claims: Claims,
  subject: FuzzSubject,
): void {
  expect(sub).toBe(claims.get('sub'))
  expect(replay.until).toBe((Number((claims.get('exp') as { digits: string }).digits) + 60) * 1000)
  if (subject.type.type === 'spiffe-jwt') {
    expect(`spiffe://${proven.trust_domain}${proven.path}`).toBe(sub)
    return
  }
  for (const [name, value] of Object.entries(proven)) {
    const made = subject.made?.[name]
    if (made !== undefined) {
      expect(value).toEqual(made(claims))
      continue
    }
    const told = at(claims, ...subject.pathOf(name))
    expect(value).toEqual(isNumeral(told) ? Number(told.digits) : told)
  }
}
