import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { laptop } from '../../attestors/laptop.ts'
import { signInNonce } from '../../attestors/shared/sign-in-nonce.ts'
import { freshNonce, sessionNonce } from '../../src/broker/people/operator-nonce.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { AUDIENCE, createIssuerSubject, NOON } from './issuer-subject.ts'
import { openTypedStage, type TypedStage } from './typed-stage.ts'

const JKT = 'k'.repeat(43)
const REQUEST = 'a'.repeat(64)
const CLAIMS = {
  ...{ sub: 'hanna', name: 'Hanna', email: 'hanna@acme.test', groups: ['engineering'] },
  ...{ nonce: signInNonce({ jkt: JKT, request: REQUEST }), auth_time: NOON / 1_000, hd: 'acme.test' },
}

describeAttestor('laptop', () => createIssuerSubject(laptop, CLAIMS))

let stage: TypedStage
let unbound: TypedStage
let unchecked: TypedStage
beforeAll(async () => {
  const more = { claims: { hd: 'string' }, github_login_claim: 'login', github_id_claim: 'number' }
  stage = await openTypedStage(laptop, CLAIMS, () => more)
  unbound = await openTypedStage(laptop, CLAIMS, () => ({ device_flow: 'unbound' }))
  unchecked = await openTypedStage(laptop, CLAIMS, () => ({ authenticated_within_minutes: 'unchecked' }))
})
afterAll(() => Promise.all([stage, unbound, unchecked].map(one => one.close())))

describe('a sign-in', () => {
  test('proves a process of this human, by its key and for one request', async () => {
    expect(await stage.attest({ login: 'hanna', number: 4711 })).toMatchObject({
      ok: true,
      proof: {
        ...{ issuer: stage.issuer, subject: 'hanna', boundKey: { jkt: JKT }, request: REQUEST },
        claims: { groups: ['engineering'], key_bound: true, hd: 'acme.test' },
        human: {
          ...{ name: 'Hanna', email: 'hanna@acme.test', groups: ['engineering'] },
          accounts: [{ provider: 'github.com', login: 'hanna', id: '4711' }],
        },
        replay: { singleUse: true },
      },
    })
  })

  test('without a nonce is taken where the settings say so, and says that it is', async () => {
    const verdict = await unbound.attest({ nonce: undefined })
    expect(verdict).toMatchObject({ ok: true, proof: { claims: { key_bound: false } } })
    expect(verdict.ok && [verdict.proof.boundKey, verdict.proof.request]).toEqual([undefined, undefined])
    expect(await unbound.attest()).toMatchObject({ ok: true, proof: { claims: { key_bound: true } } })
  })

  test('of long ago, and without a word of when, is taken where nobody looks at it', async () => {
    expect(await unchecked.attest({ auth_time: NOON / 1_000 - 86_400 })).toMatchObject({ ok: true })
    expect(await unchecked.attest({ auth_time: undefined })).toMatchObject({ ok: true })
  })
})

test('the guide’s settings are taken, and its agent may act for somebody', async () => {
  const guide = await readFile(join(import.meta.dirname, '../../docs/laptops.md'), 'utf8')
  const [settings, agent] = [...guide.matchAll(/```yaml\n(.*?)```/gs)].map(([, block = '']) => parse(block))
  const { type, ...laptops } = settings.attestors.laptops
  expect(laptop.settings.safeParse(laptops).error).toBeUndefined()
  expect([type, agent.attest[0].attestor]).toEqual(['laptop', 'laptops'])
  expect(agent.may_act_for.groups).not.toEqual([])
})

describe('refused', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['without a nonce', { nonce: undefined }, 'claim_missing'],
    ['with a nonce that is no text', { nonce: 7 }, 'claim_malformed'],
    ['with a nonce of an approval', { nonce: freshNonce(REQUEST) }, 'claim_malformed'],
    ["with a nonce of an operator's session", { nonce: sessionNonce('challenge') }, 'claim_malformed'],
    ['with a key and nothing that it is for', { nonce: `mayfly-laptop-v1.${JKT}` }, 'claim_malformed'],
    ['with more behind it', { nonce: `${CLAIMS.nonce}.x` }, 'claim_malformed'],
    ['with more before it', { nonce: `x${CLAIMS.nonce}` }, 'claim_malformed'],
    ['with a line behind it', { nonce: `${CLAIMS.nonce}\n` }, 'claim_malformed'],
    ['without auth_time', { auth_time: undefined }, 'claim_missing'],
    ['with auth_time as text', { auth_time: '1795000000' }, 'claim_malformed'],
    ['proven an hour and two minutes ago', { auth_time: NOON / 1_000 - 3_720 }, 'too_old'],
    ['proven in the future', { auth_time: NOON / 1_000 + 120 }, 'not_yet_valid'],
    ['at another client', { azp: 'somebody' }, 'audience_wrong'],
    ['whose groups cannot be read', { groups: [1] }, 'claim_malformed'],
    ['whose claim has another type', { hd: true }, 'claim_malformed'],
  ])('%s', async (_, claims, rejection) => {
    expect(await stage.attest(claims)).toMatchObject({ ok: false, rejection })
  })

  test('a nonce of an approval, also where tokens without one are taken', async () => {
    expect(await unbound.attest({ nonce: freshNonce(REQUEST) })).toMatchObject({ ok: false })
  })

  test.each([
    ['a cap above five minutes', { max_age_seconds: 301 }],
    ['scopes without openid', { scopes: ['email'] }],
    ['a claim that is the attestor’s own', { claims: { key_bound: 'boolean' } }],
    ['a number of an account without its login', { github_id_claim: 'number' }],
  ])('settings with %s', (_, more) => {
    expect(laptop.settings.safeParse({ issuer: 'https://x.test', audience: AUDIENCE, ...more }).success).toBe(
      false,
    )
  })
})
