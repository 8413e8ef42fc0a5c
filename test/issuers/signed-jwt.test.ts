import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import type { Grant, Issuer } from '../../issuers/issuer.ts'
import { urlsWithin } from '../../issuers/shared/urls-within.ts'
import { type SignedJwtAsk, signedJwt } from '../../issuers/signed-jwt.ts'
import { describeIssuer } from '../conformance/issuer.ts'
import { Clocks, hostDeps, ISSUER_URL, jwtPrivateKeyText, jwtPublicKey } from './stand-in.ts'

const API = 'https://api.example'
const AUDIENCES = [
  { audience: API, scopes: ['read', 'write'], phase: 'propose' },
  { audience: 'urn:example:reports', scopes: [] },
]

function open(clocks: Clocks, settings: object = {}): Issuer<SignedJwtAsk> {
  const parsed = signedJwt.settings.parse({ audiences: AUDIENCES, ...settings })
  // The list of issuer types forgets the ask's type; this is the one place that knows it again.
  return signedJwt.open(parsed, { ...hostDeps(clocks).deps, name: 'jwt' }) as Issuer<SignedJwtAsk>
}

function grantOf(
  clocks: Clocks,
  ask: SignedJwtAsk,
  change: Partial<Grant<SignedJwtAsk>> = {},
): Grant<SignedJwtAsk> {
  const now = clocks.broker()
  return {
    lease: `lse_${'j'.repeat(26)}`,
    ask,
    task: 'tsk_1',
    agent: 'reporter',
    chain: [],
    expiresAt: now + 600_000,
    mintNotAfter: now + 60_000,
    ...change,
  }
}

describeIssuer('signed-jwt', async () => {
  const clocks = new Clocks()
  /** What a resource server does: signature, type, issuer, audience, time, scope. */
  const verified = async (token: string, audience: string, scope: string) => {
    const options = { issuer: ISSUER_URL, audience, typ: 'at+jwt', currentDate: new Date(clocks.provider()) }
    try {
      const { payload } = await jwtVerify(token, jwtPublicKey, options)
      return String(payload.scope).split(' ').includes(scope) ? 'accepted' : 'refused'
    } catch {
      return 'refused'
    }
  }
  return {
    issuer: open(clocks),
    asks: {
      granted: { audience: API, scopes: ['read'] },
      refused: { audience: 'https://elsewhere.example', scopes: ['read'] },
      any: fc.record(
        {
          audience: fc.constantFrom(API, API, 'urn:example:reports'),
          scopes: fc.subarray(['read', 'write', 'admin'], { minLength: 1 }),
        },
        { requiredKeys: ['audience'], noNullPrototype: true },
      ),
    },
    use: secret => verified(secret, API, 'read'),
    async useOutside(secret) {
      const outcomes = [
        await verified(secret, API, 'write'),
        await verified(secret, 'urn:example:reports', 'read'),
      ]
      return outcomes.includes('accepted') ? 'accepted' : 'refused'
    },
    now: clocks.broker,
    advance: ms => clocks.advance(ms),
    ownSecrets: [jwtPrivateKeyText],
    provider: { impossible: 'the broker signs by itself, and its ledger is the record' },
    close: async () => {},
  }
})

describe('signed-jwt', () => {
  const issued = async (
    ask: SignedJwtAsk,
    change: Partial<Grant<SignedJwtAsk>> = {},
    settings: object = {},
  ) => {
    const clocks = new Clocks()
    const answer = await open(clocks, settings).issue(grantOf(clocks, ask, change))
    if (!answer.ok) throw new Error(answer.detail)
    const token = answer.secret.reveal()
    return { ...answer, token, claims: decodeJwt(token), now: clocks.broker() / 1000 }
  }

  test('the claims are those of RFC 9068, with lease, task, and what was granted', async () => {
    const { token, claims, now } = await issued({ audience: API, scopes: ['read', 'write'] })
    expect(decodeProtectedHeader(token)).toMatchObject({ typ: 'at+jwt', alg: 'ES256' })
    expect(claims).toEqual({
      iss: ISSUER_URL,
      sub: 'reporter',
      aud: API,
      client_id: 'reporter',
      iat: now,
      nbf: now,
      exp: now + 600,
      jti: `lse_${'j'.repeat(26)}`,
      task: 'tsk_1',
      scope: 'read write',
      authorization_details: [{ type: 'jwt', audience: API, scopes: ['read', 'write'] }],
    })
  })

  test('no scopes: no scope claim', async () => {
    const { claims } = await issued({ audience: 'urn:example:reports' })
    expect(claims).not.toHaveProperty('scope')
  })

  test('the chain of actors nests, the nearest outermost (RFC 8693 section 4.1)', async () => {
    const { claims } = await issued({ audience: API }, { chain: [{ sub: 'parent' }, { sub: 'grandparent' }] })
    expect(claims.act).toEqual({ sub: 'parent', act: { sub: 'grandparent' } })
    expect((await issued({ audience: API })).claims).not.toHaveProperty('act')
  })

  test('it ends with the task, and never after the cap', async () => {
    const clocks = new Clocks()
    const day = await issued({ audience: API }, { expiresAt: clocks.broker() + 86_400_000 })
    expect(day.claims.exp).toBe(day.now + 15 * 60)
    const capped = await issued(
      { audience: API },
      { expiresAt: clocks.broker() + 86_400_000 },
      { max_minutes: 2 },
    )
    expect(capped.claims.exp).toBe(capped.now + 120)
    const short = await issued({ audience: API }, { expiresAt: clocks.broker() + 1_999 })
    expect(short.claims.exp).toBe(short.now + 1)
    expect(short.providerExpiresAt).toBe((short.now + 1) * 1000)
  })

  test.each<[string, SignedJwtAsk, Partial<Grant<SignedJwtAsk>>, string]>([
    ['a near-miss audience', { audience: `${API}/` }, {}, 'not_permitted'],
    ['a scope of nobody', { audience: API, scopes: ['admin'] }, {}, 'not_permitted'],
    [
      'a scope of another audience',
      { audience: 'urn:example:reports', scopes: ['read'] },
      {},
      'not_permitted',
    ],
    ["the broker's own name as agent", { audience: API }, { agent: ISSUER_URL }, 'not_permitted'],
    ['a deadline that is past', { audience: API }, { expiresAt: 0 }, 'rejected'],
    [
      'a deadline within the second',
      { audience: API },
      { expiresAt: new Clocks().broker() + 999 },
      'rejected',
    ],
  ])('%s: refused', async (_, ask, change, reason) => {
    const clocks = new Clocks()
    expect(await open(clocks).issue(grantOf(clocks, ask, change))).toMatchObject({ ok: false, reason })
  })

  test.each([
    ['two audiences', { audience: [API, 'urn:example:reports'] }],
    ['an empty audience', { audience: '' }],
    ['an audience with a space', { audience: `${API} urn:x` }],
    ['an empty list of scopes', { audience: API, scopes: [] }],
    ['a scope with a space', { audience: API, scopes: ['read write'] }],
    ['a scope with a quote', { audience: API, scopes: ['re"ad'] }],
    ['an actor of its own', { audience: API, act: { sub: 'root' } }],
    ['a subject of its own', { audience: API, sub: 'root' }],
  ])('an ask with %s is refused', (_, input) => {
    expect(open(new Clocks()).ask.safeParse(input).success).toBe(false)
  })

  test('facts are what the operator said of the audience', () => {
    const { facts } = open(new Clocks())
    expect(facts({ audience: API, scopes: ['read'] })).toEqual({
      phase: 'propose',
      resources: [{ type: 'Audience', id: API, name: API, parents: [] }],
      permissions: ['read'],
      mayLeaveAccess: false,
    })
    expect(facts({ audience: 'https://elsewhere.example' }).phase).toBe('transact')
  })

  test.each([
    ISSUER_URL,
    `${ISSUER_URL}/`,
    `${ISSUER_URL}/v1/tasks`,
    'HTTPS://MAYFLY.EXAMPLE',
    'https://mayfly.example.',
    'https://mayfly.example:443/oauth/token',
    'http://mayfly.example',
    'https://user@mayfly.example',
    `${ISSUER_URL}?audience=other`,
    `${ISSUER_URL}#fragment`,
  ])("the broker's own audience %s is refused at load", audience => {
    expect(() => open(new Clocks(), { audiences: [{ audience }] })).toThrow("is the broker's own")
  })

  test.each([
    ['https://mayfly.example.evil.example', false],
    ['https://not-mayfly.example', false],
    ['https://mayfly.example:8443', false],
    ['urn:mayfly', false],
  ])('%s is not within the issuer', (audience, within) => {
    expect(urlsWithin(ISSUER_URL)(audience)).toBe(within)
  })

  test('an issuer with a path owns what is under it, however that is spelled, and nothing beside it', () => {
    const base = 'https://id.example/mayfly'
    for (const audience of [
      `${base}/x`,
      'https://id.example/a/../mayfly',
      'https://id.example/%6Dayfly/',
      `${base}//x`,
    ]) {
      expect(urlsWithin(base)(audience)).toBe(true)
    }
    for (const audience of [
      'https://id.example',
      'https://id.example/mayfly2',
      'https://id.example/x/mayfly',
    ]) {
      expect(urlsWithin(base)(audience)).toBe(false)
    }
  })

  test.each([
    ['an unknown key', { keys: [] }],
    ['no audience', { audiences: [] }],
    ['more than a quarter of an hour', { max_minutes: 16 }],
    ['an audience twice', { audiences: [{ audience: API }, { audience: API }] }],
  ])('settings with %s are refused', (_, settings) => {
    expect(() => open(new Clocks(), settings)).toThrow()
  })
})
