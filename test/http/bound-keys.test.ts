/** Task tokens that are bound to a key, with the dpop package as the client. */
import * as DPoP from 'dpop'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDpopProof } from '../../src/broker/bound/dpop-proof.ts'
import {
  asks,
  createInstallation,
  type Installation,
  RESOURCE_SERVER,
  startBroker,
} from '../fakes/installation.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'

const PUBLIC = 'http://127.0.0.1:8480'

let installation: Installation
let broker: Awaited<ReturnType<typeof startBroker>>
let api: Api
let keys: DPoP.KeyPair
let others: DPoP.KeyPair

beforeAll(async () => {
  installation = await createInstallation()
  const { coder } = installation.agents
  await installation.configure({ agents: { coder: { ...coder, bound_key_required: true } } })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  keys = await DPoP.generateKeyPair('ES256')
  others = await DPoP.generateKeyPair('ES256')
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

type Call = { method?: string; body?: object; token?: string; keys?: DPoP.KeyPair; nonce?: string | null }

/** The nonce that the broker handed out last. */
let nonce: string | undefined

/** Sent with a proof by `keys`, again where a nonce is asked for; `nonce: null` takes none. */
async function call(path: string, how: Call = {}): Promise<Answer> {
  const { method = 'POST', body, token } = how
  const known = how.nonce === undefined ? nonce : (how.nonce ?? undefined)
  const proof = how.keys && (await DPoP.generateProof(how.keys, `${PUBLIC}${path}`, method, known, token))
  const response = await fetch(`${broker.url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `${how.keys ? 'DPoP' : 'Bearer'} ${token}` }),
      ...(proof === undefined ? {} : { dpop: proof }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  nonce = response.headers.get('dpop-nonce') ?? nonce
  const answer = (await response.json()) as { code?: string }
  if (answer.code === 'dpop_nonce_needed' && how.nonce === undefined) return call(path, how)
  return { status: response.status, body: answer, headers: response.headers }
}

const coder = () => ({
  evidence: { type: 'jwt', token: installation.svid('/agent/coder') },
  purpose: 'writes',
  authorization_details: [asks.orders],
})

async function open(by: DPoP.KeyPair = keys) {
  const { body, status } = await call('/v1/tasks', { body: coder(), keys: by })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return { id: body.task.id as string, token: body.task_token as string, ask: body.task.asks[0].id as string }
}

describe('a task that was opened with a proof', () => {
  test('goes on with proofs by the same key, and its JWT carries the key', async () => {
    const task = await open()
    const minted = await call(`/v1/tasks/${task.id}/credentials`, { ...task, body: { ask: task.ask }, keys })
    expect(minted.status).toBe(201)
    const jkt = await DPoP.calculateThumbprint(keys.publicKey)
    const jwt = String(minted.body.secret ?? minted.body.token ?? minted.body.credential)
    expect(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({
      cnf: { jkt },
    })
    const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
    const seen = await api.form('/oauth/introspect', { token: jwt }, { authorization: `Basic ${basic}` })
    expect(seen.body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } })
    const done = { ...task, body: { outcome: 'completed' }, keys }
    expect((await call(`/v1/tasks/${task.id}/complete`, done)).status).toBe(200)
  })

  test.each<[string, Partial<Call>, number, string]>([
    ['as a bearer', { keys: undefined as never }, 401, 'key_not_proven'],
    ['with a proof by another key', {}, 401, 'key_not_proven'],
  ])('is of no use %s, and nothing happens', async (what, how, status, code) => {
    const task = await open()
    const by = what === 'as a bearer' ? {} : { keys: others }
    for (const [path, body] of [
      [`/v1/tasks/${task.id}/credentials`, { ask: task.ask }],
      [`/v1/tasks/${task.id}/complete`, { outcome: 'completed' }],
      [`/v1/tasks/${task.id}/heartbeat`, {}],
    ] as const) {
      const answer = await call(path, { ...how, ...by, token: task.token, body })
      expect([path, answer.status, answer.body.code]).toEqual([path, status, code])
      expect(answer.headers.get('www-authenticate')).toMatch(/^DPoP .*error="invalid_token"/)
    }
    const after = await call(`/v1/tasks/${task.id}`, { method: 'GET', token: task.token, keys })
    expect(after.body).toMatchObject({ state: 'active', credentials: [] })
  })

  test('is not revoked by whoever found its token', async () => {
    const task = await open()
    for (const headers of [{}, { authorization: `Bearer ${task.token}` }])
      await api.form('/oauth/revoke', { token: task.token }, headers)
    const after = await call(`/v1/tasks/${task.id}`, { method: 'GET', token: task.token, keys })
    expect(after.body.state).toBe('active')
  })
})

describe('a proof', () => {
  test('counts once', async () => {
    const task = await open()
    const path = `/v1/tasks/${task.id}/heartbeat`
    const proof = await DPoP.generateProof(keys, `${PUBLIC}${path}`, 'POST', nonce, task.token)
    const send = () =>
      fetch(`${broker.url}${path}`, {
        method: 'POST',
        headers: { authorization: `DPoP ${task.token}`, dpop: proof },
      }).then(response => response.status)
    const answers = await Promise.all(Array.from({ length: 10 }, send))
    expect(answers.filter(status => status === 200)).toHaveLength(1)
    expect(answers.filter(status => status === 401)).toHaveLength(9)
  })

  test('needs a nonce of this broker that is not old', async () => {
    const task = await open()
    const path = `/v1/tasks/${task.id}/heartbeat`
    for (const given of [null, 'invented', 'a'.repeat(32)]) {
      const answer = await call(path, { token: task.token, keys, nonce: given })
      expect(answer.body.code).toBe('dpop_nonce_needed')
      expect(answer.headers.get('www-authenticate')).toMatch(/error="use_dpop_nonce"/)
      expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]{32}$/)
    }
    const old = nonce!
    installation.clock.advance(301_000)
    const answer = await call(path, { token: task.token, keys, nonce: old })
    // The client's own clock is the test's, five minutes behind now: for its age or for its nonce, it is refused.
    expect(answer.status).toBe(401)
    installation.clock.advance(-301_000)
  })

  test.each([
    ['of another method', 'GET', '/heartbeat'],
    ['of another path', 'POST', '/complete'],
  ])('%s is refused', async (_what, method, end) => {
    const task = await open()
    const proof = await DPoP.generateProof(
      keys,
      `${PUBLIC}/v1/tasks/${task.id}${end}`,
      method,
      nonce,
      task.token,
    )
    const answer = await fetch(`${broker.url}/v1/tasks/${task.id}/heartbeat`, {
      method: 'POST',
      headers: { authorization: `DPoP ${task.token}`, dpop: proof },
    })
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ code: 'dpop_proof_invalid' })
  })

  test('beside a token of nobody leaves nothing behind', async () => {
    const task = await open()
    const unknown = `${task.token.slice(0, -8)}AAAAAAAA`
    const path = `/v1/tasks/${task.id}/heartbeat`
    const url = `${PUBLIC}${path}`
    const proof = await DPoP.generateProof(keys, url, 'POST', nonce, unknown)
    const headers = { authorization: `DPoP ${unknown}`, dpop: proof }
    expect((await fetch(`${broker.url}${path}`, { method: 'POST', headers })).status).toBe(401)
    const form = await DPoP.generateProof(keys, `${PUBLIC}/oauth/revoke`, 'POST', nonce)
    expect((await api.form('/oauth/revoke', { token: unknown }, { dpop: form })).status).toBe(200)
    for (const [one, request] of [
      [proof, { method: 'POST', url, token: unknown }],
      [form, { method: 'POST', url: `${PUBLIC}/oauth/revoke` }],
    ] as const) {
      const read = await readDpopProof(one, request, installation.clock.now())
      if (!read.ok) throw new Error(read.detail)
      expect(await broker.broker.ledger.read.evidence(`dpop/${read.value.use}`)).toBeUndefined()
    }
  })

  test('of another token is refused', async () => {
    const [one, two] = [await open(), await open()]
    const path = `/v1/tasks/${one.id}/heartbeat`
    const proof = await DPoP.generateProof(keys, `${PUBLIC}${path}`, 'POST', nonce, two.token)
    const headers = { authorization: `DPoP ${one.token}`, dpop: proof }
    expect((await fetch(`${broker.url}${path}`, { method: 'POST', headers })).status).toBe(401)
  })
})

describe('token exchange', () => {
  const fields = () => ({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: installation.svid('/agent/coder'),
    authorization_details: JSON.stringify([asks.orders]),
  })
  const proofFor = (given: string | undefined) =>
    DPoP.generateProof(keys, `${PUBLIC}/oauth/token`, 'POST', given)

  test('asks for a nonce, and answers with a token of type DPoP', async () => {
    const first = await api.form('/oauth/token', fields(), { dpop: await proofFor(undefined) })
    expect([first.status, first.body.error]).toEqual([400, 'use_dpop_nonce'])
    const given = first.headers.get('dpop-nonce')!
    const answer = await api.form('/oauth/token', fields(), { dpop: await proofFor(given) })
    expect(answer.body).toMatchObject({ token_type: 'DPoP', task_token: expect.any(String) })
    const stolen = await api.call('GET', `/v1/tasks/${answer.body.task_id}`, answer.body.task_token)
    expect(stolen.body.code).toBe('key_not_proven')
  })

  test('refuses what is no proof, before the evidence is used up', async () => {
    const same = fields()
    for (const dpop of ['no proof', `${await proofFor(nonce)},${await proofFor(nonce)}`]) {
      const answer = await api.form('/oauth/token', same, { dpop })
      expect([answer.status, answer.body.error]).toEqual([400, 'invalid_dpop_proof'])
    }
    expect((await api.form('/oauth/token', same, { dpop: await proofFor(nonce) })).status).toBe(200)
  })
})

test('an agent that has to bind opens nothing without a key', async () => {
  const answer = await api.call('POST', '/v1/tasks', undefined, coder())
  expect([answer.status, answer.body.code]).toEqual([403, 'key_needed'])
})

test('another agent is bound where it shows a key, and free where it does not', async () => {
  const free = await api.open([asks.orders])
  expect((await api.show(free)).status).toBe(200)
  // A token that is bound to nothing is no better for a proof beside it.
  const answer = await call(`/v1/tasks/${free.id}`, { method: 'GET', token: free.token, keys })
  expect(answer.status).toBe(200)
})
