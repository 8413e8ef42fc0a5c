import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'

let installation: Installation
let broker: RunningServer
let api: Api

/** One rule takes confidence for the caller, which none may; one takes it against the caller. */
const POLICIES = `
@id("github") permit (principal, action in Mayfly::Action::"github:*", resource);
@id("unsure") forbid (principal, action in Mayfly::Action::"github:*", resource)
when { context has confidence && context.confidence < 50 };
@id("hasty") forbid (principal, action in Mayfly::Action::"github:*", resource)
when { context has urgency && context.urgency == "high" };
@id("trusting") permit (principal, action in Mayfly::Action::"jwt:*", resource)
when { context has confidence && context.confidence > 90 };`

beforeAll(async () => {
  installation = await createInstallation({ settings: { policies_dir: 'policies' } })
  await mkdir(join(installation.directory, 'policies'))
  await writeFile(join(installation.directory, 'policies', 'main.cedar'), POLICIES)
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const evidence = async () => ({ type: 'jwt', token: await installation.jobToken() })
const open = async (ask: object, said: object) =>
  api.call('POST', '/v1/tasks', undefined, {
    ...{ evidence: await evidence(), purpose: 'a test', authorization_details: [ask] },
    ...said,
  })

test.each([
  [{}, 201],
  [{ confidence: 50 }, 201],
  [{ confidence: 49 }, 403],
  [{ confidence: 100, urgency: 'high' }, 403],
  [{ urgency: 'low' }, 201],
])('at an opening %j is answered %i', async (said, status) => {
  expect((await open(asks.apiRead, said)).status).toBe(status)
})

test('it gives nothing that is not given without it', async () => {
  expect((await open(asks.orders, {})).status).toBe(403)
  expect((await open(asks.orders, { confidence: 95 })).status).toBe(403)
})

test('a later ask and a token exchange say it, too', async () => {
  const task = await api.open([])
  const later = (said: object) =>
    api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, {
      authorization_details: [asks.apiRead],
      ...said,
    })
  expect((await later({ confidence: 10 })).body.code).toBe('ask_denied')
  expect((await later({ confidence: 80 })).status).toBe(201)
  const exchange = async (said: Record<string, string>) =>
    api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: (await evidence()).token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      authorization_details: JSON.stringify([asks.apiRead]),
      ...said,
    })
  expect((await exchange({ confidence: '10' })).status).toBe(400)
  expect((await exchange({ urgency: 'high' })).status).toBe(400)
  expect((await exchange({ confidence: '80', urgency: 'normal' })).status).toBe(200)
})

test('it is kept in the decision, and judged by again: at each mint, and when policies change', async () => {
  const task = await api.open([asks.apiRead], { confidence: 60 })
  const kept = await broker.broker.ledger.read.decision(task.answer.body.decision)
  expect(JSON.parse(kept!.facts)).toMatchObject({ declared: { confidence: 60 } })
  const sure = await api.open([asks.apiRead], { confidence: 80 })
  for (const one of [task, sure]) expect((await api.credential(one)).status).toBe(201)
  await writeFile(
    join(installation.directory, 'policies', 'main.cedar'),
    POLICIES.replace('confidence < 50', 'confidence < 70'),
  )
  await broker.reload()
  expect((await api.credential(task)).body.code).toBe('ask_denied')
  const live = async ({ id }: { id: string }) =>
    (await broker.broker.ledger.read.leases({ task: id, state: 'active' }, { limit: 9 })).items.length
  expect([await live(task), await live(sure)]).toEqual([0, 1])
})

test.each([
  { confidence: 101 },
  { confidence: -1 },
  { confidence: 0.5 },
  { confidence: '90' },
  { urgency: 'now' },
])('%j is refused', async said => {
  expect((await open(asks.apiRead, said)).body.code).toBe('request_invalid')
})
