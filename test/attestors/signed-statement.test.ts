import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Check } from '../../attestors/attestor.ts'
import { oidc } from '../../attestors/oidc.ts'
import { signedStatement } from '../../attestors/signed-statement.ts'
import { createOutbound } from '../../src/outbound.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { type KeyServer, startKeyServer } from '../fakes/identity/key-server.ts'
import { AUDIENCE, createIssuerSubject, jwt, NOON, open } from './issuer-subject.ts'

const TYP = 'mayfly-statement+jwt'
const SAID = { image_digest: `sha256:${'a1'.repeat(32)}`, network: 'none' }
const TYPES = { image_digest: 'string', network: 'string' }
const JKT = 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'

describeAttestor('signed-statement', () =>
  createIssuerSubject(signedStatement, SAID, {
    settings: () => ({ about: 'subject', claims: TYPES }),
    header: { typ: TYP },
  }),
)

const forger = createForger()
const outbound = createOutbound({ allowLoopback: true })
let server: KeyServer
beforeAll(async () => {
  server = await startKeyServer(forger.jwks())
})
afterAll(async () => {
  await outbound.close()
  await server?.close()
})

const base = () => ({ issuer: server.issuer, audience: AUDIENCE, about: 'subject', claims: TYPES })
const attestorFor = (over: object = {}, deps: object = {}) =>
  open(signedStatement, { ...base(), ...over }, { now: () => NOON, fetch: url => outbound.get(url), ...deps })

function statement(over: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  const iat = NOON / 1000
  const times = { iat, exp: iat + 300 }
  const payload = { iss: server.issuer, aud: AUDIENCE, sub: 'a workload', ...times, ...SAID, ...over }
  return forger.token(payload, { typ: TYP, ...header })
}

describe('it says where, and of whom', () => {
  test('of a subject', async () => {
    expect(await attestorFor().attest(jwt(statement({ more: 'x' })))).toMatchObject({
      ok: true,
      proof: { claims: SAID, about: { subject: 'a workload' }, replay: { singleUse: false } },
    })
  })

  test('of a claim of the identity, such as the pod', async () => {
    const verdict = await attestorFor({ about: { claim: 'pod_uid' } }).attest(
      jwt(statement({ sub: 'uid-1' })),
    )
    expect(verdict).toMatchObject({ proof: { about: { claim: 'pod_uid', value: 'uid-1' } } })
  })

  test.each([{ jkt: JKT }, { 'x5t#S256': JKT }])('of a key: %j', async cnf => {
    const verdict = await attestorFor({ about: 'key' }).attest(jwt(statement({ cnf })))
    expect(verdict).toMatchObject({ ok: true, proof: { boundKey: cnf } })
    expect(verdict.ok && verdict.proof).not.toHaveProperty('about')
  })

  test('a key that one of a subject names besides is not passed over', async () => {
    expect(await attestorFor().attest(jwt(statement({ cnf: { jkt: JKT } })))).toMatchObject({
      proof: { about: { subject: 'a workload' }, boundKey: { jkt: JKT } },
    })
  })

  test('its keys may stand in a file', async () => {
    const readFile = async (path: string) => (path === 'keys.json' ? JSON.stringify(forger.jwks()) : '')
    const fetch = () => Promise.reject(new Error('nothing is fetched'))
    const attestor = attestorFor({ key_set_file: 'keys.json' }, { readFile, fetch })
    const told: Check[] = []
    expect(await attestor.attest(jwt(statement()), check => told.push(check))).toMatchObject({ ok: true })
    expect(told.find(({ name }) => name === 'key')?.found).toContain('1 usable keys at file:keys.json,')
  })
})

describe('refused', () => {
  test.each([
    ['no cnf where one is needed', {}, 'claim_missing'],
    ['no object', { cnf: JKT }, 'claim_malformed'],
    ['two keys', { cnf: { jkt: JKT, 'x5t#S256': JKT } }, 'claim_malformed'],
    ['the key itself', { cnf: { jwk: { kty: 'EC' } } }, 'claim_malformed'],
    ['no thumbprint', { cnf: { jkt: 'short' } }, 'claim_malformed'],
    ['another name', { cnf: { kid: JKT } }, 'claim_malformed'],
  ])('cnf: %s', async (_what, over, rejection) => {
    expect(await attestorFor({ about: 'key' }).attest(jwt(statement(over)))).toMatchObject({ rejection })
  })

  test.each([
    ['network', undefined, 'claim_missing'],
    ['network', '', 'claim_malformed'],
    ['network', ['none'], 'claim_malformed'],
    ['image_digest', 1, 'claim_malformed'],
    ['exp', NOON / 1000 + 601, 'lifetime_too_long'],
    ['sub', undefined, 'claim_missing'],
  ])('%s of %j', async (name, value, rejection) => {
    expect(await attestorFor().attest(jwt(statement({ [name]: value })))).toMatchObject({ rejection })
  })

  test.each([undefined, 'JWT', 'at+jwt', 'other-statement+jwt'])('typ %s', async typ => {
    expect(await attestorFor().attest(jwt(statement({}, { typ })))).toMatchObject({
      rejection: 'type_not_allowed',
    })
  })

  test('as an identity, by an attestor of identities that trusts the same signer', async () => {
    const identities = open(
      oidc,
      { issuer: server.issuer, audience: AUDIENCE, algorithms: ['ES256'], require_jti: false },
      { now: () => NOON, fetch: url => outbound.get(url) },
    )
    expect(await identities.attest(jwt(statement()))).toMatchObject({ rejection: 'type_not_allowed' })
  })
})

test.each([
  ['an ID token’s type', { typ: 'JWT' }, /\+jwt/],
  ['an access token’s type', { typ: 'at+jwt' }, /made for something else/],
  ['a claim with a dot', { claims: { 'a.b': 'string' } }, /lower-case/],
  ['a registered claim', { claims: { sub: 'string' } }, /a meaning of its own/],
  ['no claims', { claims: {} }, /1 to 32/],
  ['two ways to the keys', { jwks_uri: 'https://x.test/keys', key_set_file: 'k' }, /choose one/],
  ['a life of two hours', { max_lifetime_seconds: 7200 }, /3600/],
  ['nobody whom it is about', { about: undefined }, /about/],
])('settings with %s are not accepted', (_what, over, why) => {
  const parsed = signedStatement.settings.safeParse({ ...base(), ...over })
  expect(JSON.stringify(parsed.error?.issues ?? 'accepted')).toMatch(why)
})
