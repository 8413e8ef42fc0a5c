/** Humans who are not who they say, not for this, or not now: threats A1, 15, 17 and 26. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '../../issuers/shared/secret.ts'
import { freshNonce, sessionNonce } from '../../src/broker/people/operator-nonce.ts'
import { authorizeOperator, demandFresh } from '../../src/broker/people/operators.ts'
import { canonicalDigest } from '../../src/canonical.ts'
import type { RunningServer } from '../../src/server.ts'
import { createForger } from '../fakes/identity/forger.ts'
import type { SignInOptions } from '../fakes/identity/operator-provider.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let broker: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createPeopledInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker.stop()
  await installation.close()
})

const digest = (text: string) => createHash('sha256').update(text).digest('hex')
const refusalOf = async (token: string, boundTo: string) =>
  demandFresh(broker.broker, new Secret(token), boundTo).then(
    operator => operator.id,
    (error: { code?: string }) => error.code ?? String(error),
  )
const minutes = 60_000

describe('a fresh sign-in', () => {
  const boundTo = digest('this ask and no other')
  const ada = () => `${installation.people.issuer}#ada`

  test('is of a human, and good once', async () => {
    const token = await installation.signInAs('ada', { boundTo })
    expect(await refusalOf(token, boundTo)).toBe(ada())
    expect(await refusalOf(token, boundTo)).toBe('fresh_sign_in_needed')
  })

  test('of two at a time one is taken', async () => {
    const token = await installation.signInAs('ada', { boundTo })
    const both = await Promise.all([refusalOf(token, boundTo), refusalOf(token, boundTo)])
    expect(both.toSorted()).toEqual(['fresh_sign_in_needed', ada()].toSorted())
  })

  test.each<[string, SignInOptions]>([
    ['for something else', { boundTo: digest('another ask') }],
    ['for a session', { nonce: sessionNonce(boundTo) }],
    ['with the digest itself as its nonce', { nonce: boundTo }],
    ['for nothing', {}],
    ['whose proof is too old', { boundTo, authenticatedMsAgo: 5 * minutes + 2_000 }],
    ['without auth_time', { boundTo, claims: { auth_time: undefined } }],
    ['with auth_time ahead', { boundTo, claims: { auth_time: Math.floor(Date.now() / 1_000) + 300 } }],
  ])('is none %s', async (_, options) => {
    expect(await refusalOf(await installation.signInAs('ada', options), boundTo)).toBe('fresh_sign_in_needed')
  })

  test.each<[string, Record<string, unknown>]>([
    ['for another client', { aud: 'another' }],
    ['for two clients', { aud: ['mayfly-cli', 'another'] }],
    ['that another client was given', { azp: 'another' }],
    ['of another issuer', { iss: 'https://elsewhere.test' }],
    ['that is over', { exp: 1_700_000_000, iat: 1_699_999_000 }],
    ['without a subject', { sub: undefined }],
    ['with groups that are no names', { groups: [1, 2] }],
    ['with too many groups', { groups: Array.from({ length: 257 }, (_, index) => `g${index}`) }],
    ['with a nonce that is no text', { nonce: 7 }],
    ['with auth_time in words', { auth_time: 'now' }],
    ['issued too long ago', { iat: Math.floor(Date.now() / 1_000) - 400 }],
  ])('is not accepted %s', async (_, claims) => {
    const token = await installation.signInAs('ada', { boundTo, claims })
    expect(await refusalOf(token, boundTo)).toBe('evidence_rejected')
  })

  test('is not accepted where somebody else signed it, or nobody', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const claims = {
      ...{ iss: installation.people.issuer, aud: installation.people.clientId, sub: 'ada' },
      ...{ iat: now, exp: now + 600, auth_time: now, nonce: freshNonce(boundTo), groups: ['mayfly-admin'] },
    }
    const forger = createForger({ algorithm: 'RS256', kid: installation.people.key.kid })
    const publicKey = installation.people.key.publicKey.export({ format: 'pem', type: 'spki' })
    for (const token of [
      forger.token(claims),
      forger.token(claims, { jwk: forger.key.publicJwk }),
      forger.hmacToken(claims, publicKey),
      ...['none', 'None', 'NONE'].map(alg => forger.unsignedToken(claims, alg)),
      '',
      'x.y.z',
    ])
      expect(await refusalOf(token, boundTo)).toBe('evidence_rejected')
  })

  // Without it, an authorization request without a prompt gets a second token out of one sign-in.
  test('is one proof for one thing: another token of the same sign-in is none', async () => {
    const at = Math.floor(Date.now() / 1_000) - 30
    const first = await installation.signInAs('cleo', { boundTo, claims: { auth_time: at } })
    const other = digest('another ask')
    const second = await installation.signInAs('cleo', { boundTo: other, claims: { auth_time: at } })
    expect(await refusalOf(first, boundTo)).toContain('#cleo')
    expect(await refusalOf(second, other)).toBe('fresh_sign_in_needed')
  })

  test('is none where it began a session', async () => {
    const at = Math.floor(Date.now() / 1_000) - 20
    installation.people.setClaims('dan', { auth_time: at })
    await sessionOf(broker, installation, 'dan')
    const token = await installation.signInAs('dan', { boundTo })
    installation.people.setClaims('dan', undefined)
    expect(await refusalOf(token, boundTo)).toBe('fresh_sign_in_needed')
  })

  test('stands in the audit log, and no token does', async () => {
    const token = await operatorTokenOf(broker)
    const fresh = await installation.signInAs('ada', { boundTo })
    await refusalOf(fresh, boundTo)
    const text = JSON.stringify((await api.call('GET', '/v1/audit?limit=100', token)).body)
    expect(text).toContain('operator.sign_in_refused')
    expect(text).toContain(`operator:Ada <${ada()}>`)
    expect(text).not.toContain(fresh.split('.')[1])
  })
})

describe('a session', () => {
  const challenge = async () =>
    (await api.call('POST', '/v1/operator-sessions/challenge', undefined, {})).body.challenge as string
  const open = (id_token: string, given: string) =>
    api.call('POST', '/v1/operator-sessions', undefined, { id_token, challenge: given })

  test('takes a challenge of ours, in time, once, and a token that was made for it', async () => {
    const one = await challenge()
    const token = await installation.signInAs('vera', { nonce: sessionNonce(one) })
    const another = await challenge()
    const refused = [
      await open(token, another),
      await open(token, `${one}x`),
      await open(token, 'chl_none'),
      await open(token, one.replace(/\.\d+\./, '.99999999999999.')),
      await open(await installation.signInAs('vera'), one),
      await open(await installation.signInAs('vera', { nonce: freshNonce(one) }), one),
    ]
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual(
      refused.map(() => [401, 'evidence_rejected']),
    )
    // All of them look the same.
    expect(new Set(refused.map(({ body }) => JSON.stringify({ ...body, instance: '' }))).size).toBe(1)
    expect((await open(token, one)).status).toBe(201)
    expect((await open(token, one)).status).toBe(401)
    const again = await installation.signInAs('vera', { nonce: sessionNonce(one) })
    expect((await open(again, one)).status).toBe(401)
  })

  test('is none without a nonce, unless the settings take device flows', async () => {
    const token = await installation.signInAs('vera', { claims: { nonce: undefined } })
    expect((await open(token, await challenge())).status).toBe(401)
  })

  test('that is stolen approves nothing, widens nothing, and makes no sign-in of its own', async () => {
    const stolen = await sessionOf(broker, installation, 'cleo')
    const within = broker.broker
    const { authenticateOperator } = await import('../../src/broker/people/operators.ts')
    const cleo = await authenticateOperator(within, new Secret(stolen))
    for (const action of ['approve', 'widen', 'register', 'configure'] as const)
      await expect(authorizeOperator(within, cleo, action)).rejects.toMatchObject({
        code: action === 'approve' ? 'fresh_sign_in_needed' : 'forbidden',
      })
    expect(await refusalOf(stolen, digest('an ask'))).toBe('evidence_rejected')
    const other = await api.call('POST', '/v1/operator-tokens', stolen, {})
    expect([other.status, other.body.code]).toEqual([403, 'forbidden'])
  })

  test('is not one where its row was written by hand', async () => {
    const token = await sessionOf(broker, installation, 'zoe')
    const { ledger, keyring } = broker.broker
    const row = await ledger.read.operatorSessionByToken(keyring.tokenHash(token))
    const forged = `mfs_${'0'.repeat(49)}`
    await ledger.write(tx =>
      tx.insertOperatorSession(
        { ...row!, id: 'ops_forged', token_hash: keyring.tokenHash(forged), groups: '["mayfly-admin"]' },
        0,
      ),
    )
    expect([500, 401]).toContain((await api.call('GET', '/v1/leases', forged)).status)
  })
})

describe('an identity provider that is away', () => {
  test('is an outage for whoever signs in, and none for anybody else', async () => {
    const away = await createPeopledInstallation()
    const server = await startBroker(away)
    try {
      const there = createApi(server, away)
      const token = await operatorTokenOf(server)
      const boundTo = canonicalDigest({ any: 'thing' })
      const fresh = await away.signInAs('ada', { boundTo })
      away.people.setDown(true)
      await expect(demandFresh(server.broker, new Secret(fresh), boundTo)).rejects.toMatchObject({
        code: 'attestation_unavailable',
      })
      expect((await there.call('GET', '/v1/leases', token)).status).toBe(200)
      const ended = await there.call('POST', '/v1/revocations', token, { everything: true, reason: 'a test' })
      expect(ended.status).toBe(202)
      away.people.setDown(false)
      away.clock.advance(3_000)
      expect((await demandFresh(server.broker, new Secret(fresh), boundTo)).name).toBe('Ada')
    } finally {
      await server.stop()
      await away.close()
    }
  })
})

describe('operator tokens that are switched off', () => {
  test('are nobody’s, and humans go on', async () => {
    const bootless = await createPeopledInstallation({ operators: { bootstrap_tokens: false } })
    const server = await startBroker(bootless)
    try {
      const there = createApi(server, bootless)
      expect((await there.call('GET', '/v1/leases', await operatorTokenOf(server))).status).toBe(401)
      const token = await sessionOf(server, bootless, 'ada')
      expect((await there.call('GET', '/v1/leases', token)).status).toBe(200)
    } finally {
      await server.stop()
      await bootless.close()
    }
  })

  test('need an identity provider, or nobody could work', async () => {
    const { createInstallation } = await import('../fakes/installation.ts')
    for (const operators of [
      { bootstrap_tokens: false },
      { dual_control: { policies: true } },
      { dual_control: { keys: true } },
    ]) {
      const bad = await createInstallation({ settings: { operators } })
      await expect(startBroker(bad)).rejects.toThrow(/operators\.oidc/)
      await bad.close()
    }
  })
})
