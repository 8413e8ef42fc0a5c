/** Who may change how an agent stands, where humans sign in. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { canonicalDigest } from '../../src/canonical.ts'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let broker: RunningServer
let api: Api
const as = (id: string) => sessionOf(broker, installation, id)

beforeAll(async () => {
  installation = await createPeopledInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker.stop()
  await installation.close()
})

const reason = 'a test'
const change = (verb: string, token: string, body: object = {}) =>
  api.call('POST', `/v1/agents/release/${verb}`, token, { reason, ...body })
const standing = async () => (await broker.broker.ledger.read.agent('release'))?.standing

test('narrowing takes a session, of somebody who may', async () => {
  expect((await change('suspend', await as('vera'))).status).toBe(403)
  expect((await change('suspend', await as('zoe'))).status).toBe(403)
  expect((await change('suspend', await as('ada'))).status).toBe(200)
  expect(await standing()).toBe('suspended')
})

test('widening takes a fresh sign-in, for this verb, this agent and this reason', async () => {
  const token = await as('ada')
  expect((await change('activate', token)).body.code).toBe('fresh_sign_in_needed')
  expect((await change('quarantine', token)).body.code).toBe('fresh_sign_in_needed')
  const agreed = { verb: 'activate', agent: 'release', reason }
  for (const other of [
    { ...agreed, verb: 'quarantine' },
    { ...agreed, agent: 'coder' },
    { ...agreed, reason: 'another' },
  ]) {
    const id_token = await installation.signInAs('ada', { boundTo: canonicalDigest(other) })
    expect((await change('activate', token, { id_token })).body.code).toBe('fresh_sign_in_needed')
  }
  const boundTo = canonicalDigest(agreed)
  const bo = await installation.signInAs('bo', { boundTo })
  expect((await change('activate', token, { id_token: bo })).status).toBe(403)
  expect(await standing()).toBe('suspended')
  const id_token = await installation.signInAs('ada', { boundTo })
  expect((await change('activate', token, { id_token })).status).toBe(200)
  expect(await standing()).toBe('active')
})

test('certifying is bound to the digest and the date', async () => {
  const token = await as('ada')
  const valid_until = '2039-01-01T00:00:00.000Z'
  const bound = { verb: 'certify', agent: 'release', reason, digest: null, valid_until }
  const signed = async (what: object) => ({
    id_token: await installation.signInAs('ada', { boundTo: canonicalDigest(what) }),
  })
  const later = { ...bound, valid_until: '2039-06-01T00:00:00.000Z' }
  expect((await change('certify', token, { valid_until, ...(await signed(later)) })).status).toBe(401)
  expect((await change('certify', token, { valid_until })).status).toBe(401)
  const done = await change('certify', token, { valid_until, ...(await signed(bound)) })
  expect(done.body.certified.until).toBe(valid_until)
})

test('an operator token narrows, and widens nothing where humans sign in', async () => {
  const token = await operatorTokenOf(broker)
  expect((await change('quarantine', token)).status).toBe(200)
  expect((await change('activate', token)).status).toBe(403)
  const valid_until = '2039-01-01T00:00:00.000Z'
  expect((await change('certify', token, { valid_until })).status).toBe(403)
  expect(await standing()).toBe('quarantined')
})

test('what is possible for nobody is told as that, by session and by operator token', async () => {
  const [ada, token] = [await as('ada'), await operatorTokenOf(broker)]
  const reviewer = (verb: string, who: string) =>
    api.call('POST', `/v1/agents/reviewer/${verb}`, who, { reason })
  expect((await reviewer('offboard', ada)).status).toBe(200)
  await expect
    .poll(async () => (await broker.broker.ledger.read.agent('reviewer'))?.standing)
    .toBe('offboarded')
  expect((await reviewer('offboard', ada)).status).toBe(200)
  for (const verb of ['suspend', 'quarantine', 'activate'])
    for (const who of [ada, token]) {
      const { status, body } = await reviewer(verb, who)
      expect([verb, status, body.code]).toEqual([verb, 409, 'transition_refused'])
    }
})
