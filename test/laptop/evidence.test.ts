/** What a human's sign-in is worth as evidence, at the port: to them, to a thief, and for anything else. */
import * as DPoP from 'dpop'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signInNonce } from '../../attestors/shared/sign-in-nonce.ts'
import { bindingOf } from '../../src/broker/approvals/answer-approval.ts'
import { freshNonce, sessionNonce } from '../../src/broker/people/operator-nonce.ts'
import { signedForDigest } from '../../src/broker/people/signed-for.ts'
import { LAPTOP_CLIENT, OPERATOR_CLIENT } from '../fakes/identity/operator-provider.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import { type Answer, createApi } from '../support/api.ts'
import { askingPolicy, requirement } from '../support/asking-policy.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createDesk, DESK, type Desk, PUBLIC } from './desk.ts'

let desk: Desk
let keys: DPoP.KeyPair
let others: DPoP.KeyPair
beforeAll(async () => {
  desk = await createDesk()
  keys = await DPoP.generateKeyPair('ES256')
  others = await DPoP.generateKeyPair('ES256')
})
afterAll(() => desk?.close())

type Wanted = { purpose: string; authorization_details: { type: string }[]; [member: string]: unknown }
const wanted: Wanted = { purpose: 'fix the build', authorization_details: [asks.orders] }

/** The nonce of a sign-in for this request, by whoever holds the key. */
async function nonceFor(request: Wanted = wanted, by = keys): Promise<string> {
  const { purpose, authorization_details: details } = request
  const agent = request.agent as string | undefined
  const minutes = request.minutes as number | undefined
  const parsed = details.map(({ type: issuer, ...ask }) => ({ issuer, ask }))
  return signInNonce({
    jkt: await DPoP.calculateThumbprint(by.publicKey),
    request: signedForDigest({ purpose, agent, minutes, asks: parsed }),
  })
}

const SCOPE = 'openid profile email groups'
async function signIn(
  nonce: string | undefined,
  { id = 'hanna', clientId = LAPTOP_CLIENT }: { id?: string; clientId?: string } = {},
): Promise<string> {
  return desk.people.human(id).idToken({ clientId, scope: SCOPE, ...(nonce === undefined ? {} : { nonce }) })
}

let dpopNonce: string | undefined

async function send(path: string, body: object, by?: DPoP.KeyPair, token?: string): Promise<Answer> {
  const proof = by && (await DPoP.generateProof(by, `${PUBLIC}${path}`, 'POST', dpopNonce, token))
  const response = await fetch(desk.broker.url + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(proof === undefined ? {} : { dpop: proof }),
      ...(token === undefined ? {} : { authorization: `${by ? 'DPoP' : 'Bearer'} ${token}` }),
    },
    body: JSON.stringify(body),
  })
  dpopNonce = response.headers.get('dpop-nonce') ?? dpopNonce
  const answer = (await response.json()) as { code?: string }
  if (answer.code === 'dpop_nonce_needed') return send(path, body, by, token)
  return { status: response.status, body: answer, headers: response.headers }
}

const open = (token: string, more: object = {}, by: DPoP.KeyPair | undefined = keys) =>
  send('/v1/tasks', { ...wanted, evidence: { type: 'jwt', token }, ...more }, by)
const withoutKey = (token: string) => send('/v1/tasks', { ...wanted, evidence: { type: 'jwt', token } })
const outcome = ({ status, body }: Answer) => [status, body.code]
const REFUSED = [401, 'evidence_rejected']
const lastRejection = async () => {
  const { items } = await desk.broker.broker.ledger.read.audit({}, { limit: 1_000 })
  const last = items.findLast(({ event }) => event === 'evidence.rejected')
  return JSON.parse(last?.data ?? '{}').rejection
}

describe('to the human', () => {
  test('where they sign in stands at the broker, and the operators’ client does not', async () => {
    const { body } = await createApi(desk.broker, desk).call('GET', '/v1/sign-in')
    expect(body.sign_in).toEqual([
      {
        ...{ attestor: 'laptops', issuer: desk.people.issuer, client_id: LAPTOP_CLIENT },
        ...{ scopes: SCOPE.split(' '), redirect_ports: [], device_flow: 'bound', max_age_seconds: 3_600 },
      },
    ])
  })

  test('it opens one task on their behalf, bound to the key, that lapses in silence', async () => {
    const { status, body } = await open(await signIn(await nonceFor()))
    expect(status, JSON.stringify(body)).toBe(201)
    const row = await desk.broker.broker.ledger.read.task(body.task.id)
    const jkt = await DPoP.calculateThumbprint(keys.publicKey)
    expect(row).toMatchObject({ agent: 'desk', human: desk.hanna, heartbeat_ms: 300_000 })
    expect(JSON.parse(row?.bound_key ?? '')).toEqual({ jkt })
    expect(body.task.on_behalf_of).toMatchObject({ id: desk.hanna, name: 'Hanna' })
  })

  test('what GitHub does not let them do, the task may not', async () => {
    const request = { ...wanted, authorization_details: [asks.api] }
    desk.github.setCollaborator(1, { login: 'hanna', role: 'read' })
    const denied = await open(await signIn(await nonceFor(request)), request)
    desk.github.setCollaborator(1, { login: 'hanna', role: 'write' })
    expect(outcome(denied)).toEqual([403, 'ask_denied'])
    expect((await open(await signIn(await nonceFor(request)), request)).status).toBe(201)
  })

  test('somebody of none of the groups is told no', async () => {
    const token = await signIn(await nonceFor(), { id: 'zoe' })
    expect(outcome(await open(token))).toEqual([403, 'ask_denied'])
  })
})

describe('to a thief', () => {
  test('the ID token without the key, or with another one', async () => {
    const token = await signIn(await nonceFor())
    expect(outcome(await withoutKey(token))).toEqual(REFUSED)
    expect(outcome(await open(token, {}, others))).toEqual(REFUSED)
    expect(await lastRejection()).toBe('key_not_shown')
    // And to the human it is still worth what it was.
    expect((await open(token)).status).toBe(201)
  })

  test('the task token without the key', async () => {
    const { body } = await open(await signIn(await nonceFor()))
    const { task, task_token: token } = body
    const path = `/v1/tasks/${task.id}/credentials`
    const ask = { ask: task.asks[0].id }
    expect(outcome(await send(path, ask, undefined, token))).toEqual([401, 'key_not_proven'])
    expect(outcome(await send(path, ask, others, token))).toEqual([401, 'key_not_proven'])
    expect((await send(path, ask, keys, token)).status).toBe(201)
  })

  test('the ID token, a second time', async () => {
    const token = await signIn(await nonceFor())
    const [first, second] = [await open(token), await open(token)]
    expect([first.status, outcome(second)]).toEqual([201, REFUSED])
  })

  test('the ID token after five minutes', async () => {
    const iat = Math.floor(desk.clock.now() / 1_000) - 361
    desk.people.setClaims('dan', { iat })
    const token = await signIn(await nonceFor(), { id: 'dan' })
    desk.people.setClaims('dan', undefined)
    expect(outcome(await open(token))).toEqual(REFUSED)
    expect(await lastRejection()).toBe('too_old')
  })
})

describe('for anything else', () => {
  test.each<[string, Record<string, unknown>]>([
    ['another purpose', { purpose: 'read the payroll' }],
    ['other asks', { authorization_details: [asks.apiRead] }],
    ['one ask more', { authorization_details: [asks.orders, asks.apiRead] }],
    ['a named agent', { agent: 'desk' }],
    ['more time', { minutes: 60 }],
  ])('%s than was signed for', async (_, more) => {
    expect(outcome(await open(await signIn(await nonceFor()), more))).toEqual(REFUSED)
    expect(await lastRejection()).toBe('request_other')
  })

  test.each<[string, Record<string, unknown>]>([
    ['on behalf of somebody else', { on_behalf_of: { type: 'jwt', token: 'x.y.z' } }],
    ['as a child', { ticket: 'mfk_x' }],
  ])('%s', async (_, more) => {
    expect(outcome(await open(await signIn(await nonceFor()), more))).toEqual([400, 'request_invalid'])
  })

  test('a sign-in without a nonce, and one for an approval', async () => {
    expect(outcome(await open(await signIn(undefined)))).toEqual(REFUSED)
    expect(await lastRejection()).toBe('claim_missing')
    const approving = await signIn(sessionNonce('challenge'))
    expect(outcome(await open(approving))).toEqual(REFUSED)
    expect(await lastRejection()).toBe('claim_malformed')
  })

  test('an operator’s sign-in, whatever its nonce', async () => {
    const token = await signIn(await nonceFor(), { clientId: OPERATOR_CLIENT })
    expect(outcome(await open(token))).toEqual(REFUSED)
  })

  test('it is no session of an operator', async () => {
    const api = createApi(desk.broker, desk)
    const { challenge } = (await api.call('POST', '/v1/operator-sessions/challenge', undefined, {})).body
    for (const nonce of [sessionNonce(challenge), await nonceFor()]) {
      const id_token = await signIn(nonce)
      const answer = await api.call('POST', '/v1/operator-sessions', undefined, { challenge, id_token })
      expect(outcome(answer)).toEqual(REFUSED)
    }
  })
})

describe('an approval of what it asks for', () => {
  test('is not given by the laptop, nor by who sits at it, but by somebody else', async () => {
    const { broker } = desk.broker
    const before = broker.policy
    const requires = [requirement({ groups: ['mayfly-approver'] })]
    broker.policy = Object.assign(askingPolicy(), { requires })
    try {
      const api = createApi(desk.broker, desk)
      const request = { ...wanted, authorization_details: [asks.api] }
      const waiting = await open(await signIn(await nonceFor(request)), request)
      expect(waiting.status, JSON.stringify(waiting.body)).toBe(202)
      const { task, task_token: token } = waiting.body
      const [{ id, ask }] = task.approvals
      const { body: shown } = await api.call('GET', `/v1/approvals/${id}`, await operatorTokenOf(desk.broker))
      const nonce = freshNonce(bindingOf('approve', shown))
      const approve = async (idToken: string) =>
        outcome(await send(`/v1/approvals/${id}/approve`, { id_token: idToken, reason: 'yes' }))

      // A sign-in at the laptop's client, whatever it says it is for.
      expect(await approve(await signIn(nonce))).toEqual(REFUSED)
      expect(await approve(await signIn(await nonceFor(request)))).toEqual(REFUSED)
      // The same human as the approver that they are, for what runs in their own name.
      expect((await approve(await signIn(nonce, { clientId: OPERATOR_CLIENT })))[0]).toBe(403)
      expect((await send(`/v1/tasks/${task.id}/credentials`, { ask }, keys, token)).status).not.toBe(201)

      const cleo = await signIn(nonce, { id: 'cleo', clientId: OPERATOR_CLIENT })
      expect(await approve(cleo)).toEqual([200, undefined])
      expect((await send(`/v1/tasks/${task.id}/credentials`, { ask }, keys, token)).status).toBe(201)
    } finally {
      broker.policy = before
    }
  })
})

describe('where the provider of a device flow gives no nonce, and the settings take it', () => {
  beforeAll(() => desk.restart({ device_flow: 'unbound' }))

  test('a key is needed all the same, the token counts once, and a rule can keep it out', async () => {
    const token = await signIn(undefined)
    // The rule of the agent asks for key_bound.
    expect(outcome(await open(token))).toEqual([403, 'agent_unmatched'])
    const { agents } = desk
    await desk.configure({
      settings: desk.settingsWith({ device_flow: 'unbound' }),
      agents: { desk: { ...agents.coder, ...DESK, attest: [{ attestor: 'laptops', subject: 'hanna' }] } },
    })
    await desk.broker.reload()
    expect(outcome(await withoutKey(token))).toEqual([403, 'key_needed'])
    expect((await open(token)).status).toBe(201)
    expect(outcome(await open(token, {}, others))).toEqual(REFUSED)
  })
})

describe('settings are refused', () => {
  const started = async (changes: Parameters<Desk['configure']>[0]) => {
    await desk.configure(changes)
    return startBroker(desk).then(
      running => running.stop().then(() => 'it started'),
      (thrown: unknown) => String(thrown),
    )
  }

  test('with the client of the operators', async () => {
    await desk.broker.stop()
    const settings = desk.settingsWith({ audience: OPERATOR_CLIENT })
    expect(await started({ settings, agents: {} })).toContain('another audience than operators have')
  })

  test('with an agent that may act for nobody', async () => {
    const { may_act_for: _, ...nobody } = DESK
    const settings = desk.settingsWith({})
    const agents = { desk: { ...desk.agents.coder, ...nobody } }
    expect(await started({ settings, agents })).toContain('expected may_act_for.groups beside it')
  })
})
