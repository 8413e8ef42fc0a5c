import { OAuth2Server } from 'oauth2-mock-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { oidc } from '../../attestors/oidc.ts'
import { ALGORITHMS } from '../../attestors/shared/algorithms.ts'
import { createOutbound } from '../../src/outbound.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { type IdentityProvider, startIdentityProvider } from '../fakes/identity/identity-provider.ts'
import { standingKey } from '../fakes/standing-key.ts'
import { AUDIENCE, createIssuerSubject, jwt, NOON, open } from './issuer-subject.ts'

describeAttestor('oidc', () => createIssuerSubject(oidc, {}))

const outbound = createOutbound({ allowLoopback: true })
const fetch = (url: string) => outbound.get(url)
afterAll(() => outbound.close())

describe('with node-oidc-provider', () => {
  let provider: IdentityProvider
  beforeAll(async () => {
    const privateKey = standingKey('identity-provider')
    const options = { now: () => NOON, audience: AUDIENCE, privateKey, algorithms: ALGORITHMS }
    provider = await startIdentityProvider(options)
  })
  afterAll(() => provider.close())

  function attestorFor(settings: Record<string, unknown> = {}) {
    const all = { issuer: provider.issuer, audience: AUDIENCE, ...settings }
    return open(oidc, all, { now: () => NOON, fetch })
  }

  test.each(ALGORITHMS)('%s tokens are proven', async algorithm => {
    const token = await provider.mintToken({ sub: 'runner' }, { algorithm })
    expect(headerOf(token)).toMatchObject({ alg: algorithm, kid: `${algorithm}-1` })
    expect(await attestorFor({ algorithms: [algorithm] }).attest(jwt(token))).toMatchObject({
      ok: true,
      proof: { issuer: provider.issuer, subject: 'runner', replay: { singleUse: true } },
    })
  })

  test('an algorithm that is not configured is refused though its key is published', async () => {
    const token = await provider.mintToken({}, { algorithm: 'EdDSA' })
    expect(await attestorFor().attest(jwt(token))).toMatchObject({ rejection: 'algorithm_not_allowed' })
  })

  test("an access token in oidc-provider's own form is no ID token", async () => {
    const token = await provider.mintToken({}, { header: { typ: 'at+jwt' } })
    expect(await attestorFor().attest(jwt(token))).toMatchObject({ rejection: 'type_not_allowed' })
  })

  test('claims are exposed with their types, absent ones not at all', async () => {
    const claims = {
      project: 'api',
      run: 12,
      tagged: true,
      groups: ['a', 'b'],
      nested: { pod: { uid: '1' } },
    }
    const token = await provider.mintToken({ ...claims, secret: 'not asked for' })
    const attestor = attestorFor({
      claims: {
        project: 'string',
        run: 'integer',
        tagged: 'boolean',
        groups: 'string_list',
        nested: 'json',
        absent: 'string',
      },
    })
    const verdict = await attestor.attest(jwt(token))
    expect(verdict.ok && verdict.proof.claims).toEqual({ ...claims, nested: '{"pod":{"uid":"1"}}' })
  })

  test.each([
    ['string', 42],
    ['string', 'two\nlines'],
    ['string', 'x'.repeat(2049)],
    ['integer', '42'],
    ['integer', 1.5],
    ['integer', 2 ** 53],
    ['boolean', 'true'],
    ['string_list', 'a'],
    ['string_list', ['a', 1]],
    ['string', null],
  ])('a claim that is no %s is refused: %.40j', async (type, value) => {
    const token = await provider.mintToken({ project: value })
    const verdict = await attestorFor({ claims: { project: type } }).attest(jwt(token))
    expect(verdict).toMatchObject({ rejection: 'claim_malformed' })
  })

  test('a jti is demanded, unless the settings say otherwise', async () => {
    const token = await provider.mintToken({ jti: undefined })
    expect(await attestorFor().attest(jwt(token))).toMatchObject({
      rejection: 'claim_missing',
      detail: 'jti',
    })
    const verdict = await attestorFor({ require_jti: false }).attest(jwt(token))
    expect(verdict).toMatchObject({ ok: true, proof: { replay: { singleUse: true } } })
  })
})

function headerOf(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
}

describe('with oauth2-mock-server', () => {
  const server = new OAuth2Server()
  beforeAll(async () => {
    await server.issuer.keys.generate('RS256')
    await server.start(0, '127.0.0.1')
  })
  afterAll(() => server.stop())

  async function mockToken(
    change: (header: Record<string, unknown>, payload: Record<string, unknown>) => void,
  ) {
    const token = await server.issuer.buildToken({
      scopesOrTransform: (header, payload) => {
        Object.assign(payload, { sub: 'runner', aud: AUDIENCE, jti: 'once' })
        change(header, payload)
      },
    })
    return jwt(token)
  }
  const attestor = () => open(oidc, { issuer: server.issuer.url, audience: AUDIENCE }, { fetch })

  test('its plain token is proven', async () => {
    expect(await attestor().attest(await mockToken(() => {}))).toMatchObject({ ok: true })
  })

  test('a foreign iss signed by the trusted key is refused', async () => {
    const evidence = await mockToken((_header, payload) => {
      payload.iss = 'https://token.actions.githubusercontent.com'
    })
    expect(await attestor().attest(evidence)).toMatchObject({ rejection: 'issuer_not_trusted' })
  })

  test.each(['jwk', 'jku', 'x5u', 'x5c', 'b64', 'zip'])('the header parameter %s is refused', async name => {
    const evidence = await mockToken(header => {
      header[name] = 'http://169.254.169.254/keys'
    })
    expect(await attestor().attest(evidence)).toMatchObject({ rejection: 'header_not_allowed' })
  })
})

describe('settings', () => {
  const good = { issuer: 'https://issuer.test', audience: AUDIENCE }
  test.each([
    ['an unknown key', { ...good, audiences: [] }],
    // Its rules would need neither ids nor the names of risky events.
    ['GitHub Actions', { ...good, issuer: 'https://token.actions.githubusercontent.com' }],
    [
      'GitHub Actions of an enterprise',
      { ...good, issuer: 'https://token.actions.githubusercontent.com/acme' },
    ],
    ['GitHub Actions on ghe.com', { ...good, issuer: 'https://token.actions.acme.ghe.com' }],
    ['GitHub Actions on a server', { ...good, issuer: 'https://github.acme.test/_services/token' }],
    ['plain http', { ...good, issuer: 'http://issuer.test' }],
    ['a query', { ...good, issuer: 'https://issuer.test?a' }],
    ['a user name', { ...good, issuer: 'https://me@issuer.test' }],
    ['no audience', { issuer: good.issuer }],
    ['an empty audience', { ...good, audience: '' }],
    ['white space around the audience', { ...good, audience: ' x' }],
    ['a symmetric algorithm', { ...good, algorithms: ['HS256'] }],
    ['the algorithm none', { ...good, algorithms: ['none'] }],
    ['no algorithm', { ...good, algorithms: [] }],
    ['an algorithm twice', { ...good, algorithms: ['RS256', 'RS256'] }],
    ['a lifetime of a year', { ...good, max_lifetime_seconds: 31_536_000 }],
    ['a claim type that is none', { ...good, claims: { sub: 'regex' } }],
    [
      'too many claims',
      { ...good, claims: Object.fromEntries([...Array(65).keys()].map(n => [`c${n}`, 'json'])) },
    ],
  ])('%s is refused', (_what, settings) => {
    expect(oidc.settings.safeParse(settings).success).toBe(false)
  })

  test('http on a loopback host is for development', () => {
    expect(oidc.settings.safeParse({ ...good, issuer: 'http://127.0.0.1:3000' }).success).toBe(true)
  })
})
