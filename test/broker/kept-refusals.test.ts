/** What the ledger refuses under its locks leaves a denial: one for each thing in the way, however often it is met. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Log } from '../../src/broker/broker.ts'
import { LIMITS } from '../../src/limits.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, silent, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'

const SCRAPER = 'a-token-of-whoever-collects-the-metrics'

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string
let told: Readonly<Record<string, unknown>>[]

beforeEach(async () => {
  installation = await createInstallation()
  // At the beginning of a window, so that no test sees the next one.
  const { refusalWindowMs } = LIMITS
  installation.clock.advance(refusalWindowMs - (installation.clock.now() % refusalWindowMs))
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

async function start(): Promise<void> {
  told = []
  const log: Log = {
    ...silent,
    info(fields) {
      if ('decision' in fields) told.push(fields)
    },
  }
  broker = await startBroker(installation, log)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
}

const open = async (wanted: unknown[] = [asks.orders]): Promise<Answer> => {
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  return api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'x', authorization_details: wanted })
}
const revoke = (filter: object) => api.call('POST', '/v1/revocations', operator, { reason: 'odd', ...filter })
const decisionOf = async ({ body }: Answer) =>
  (await api.call('GET', `/v1/decisions/${body.decision}`, operator)).body
const denied = async () => {
  const day = (ahead: number) => new Date(installation.clock.now() + ahead * 86_400_000).toISOString()
  const { body } = await api.call('GET', `/v1/review?from=${day(-1)}&to=${day(1)}&agent=release`, operator)
  return body.agents[0].decisions.deny
}
const events = async () =>
  (await broker.broker.ledger.read.audit({ agent: 'release' }, { limit: 100 })).items.filter(
    row => row.event === 'decision.denied',
  )

test('a budget that is used up: one denial however often it is met, each counted, and another later', async () => {
  const limits = { ...(installation.agents.release?.limits as object), active_tasks: 1 }
  await writeFile(join(installation.directory, 'scraper.token'), `${SCRAPER}\n`, { mode: 0o600 })
  await installation.configure({
    agents: { release: { ...installation.agents.release, limits } },
    settings: { metrics: { token_file: 'scraper.token' } },
  })
  await start()
  expect((await open()).status).toBe(201)
  const answers = [await open(), await open(), await open()]
  const ids = answers.map(({ body }) => body.decision)
  expect(answers.map(({ body }) => body.code)).toEqual(Array(3).fill('budget_exhausted'))
  expect(new Set(ids).size).toBe(1)
  expect(await decisionOf(answers[0]!)).toMatchObject({
    ...{ outcome: 'deny', agent: 'release', task: null },
    reasons: [expect.stringMatching(/^budget_exhausted: active_tasks of agent release: all 1 are active/)],
    facts: { identity: { attestor: 'actions' }, purpose: 'x', asks: [{ issuer: 'jwt' }] },
  })
  expect([(await events()).length, await denied()]).toEqual([1, 1])
  expect(told).toMatchObject([{ code: 'budget_exhausted', agent: 'release', task: null, decision: ids[0] }])
  const headers = { authorization: `Bearer ${SCRAPER}` }
  const metrics = await fetch(`${broker.url}/metrics`, { headers })
  expect(await metrics.text()).toContain('mayfly_refusals_total{code="budget_exhausted"} 3')

  installation.clock.advance(broker.broker.limits.refusalWindowMs)
  expect((await open()).body.decision).not.toBe(ids[0])
  expect((await events()).length).toBe(2)
})

test('an operator’s hold: at the opening, at a look-up and at the mint, where the task’s trail shows it', async () => {
  await start()
  const task = await api.open([asks.orders])
  const { body: run } = await revoke({ issuer: 'jwt', hold: true })
  const answers = [await open(), await api.credential(task), await api.credential(task)]
  expect(answers.map(({ body }) => body.code)).toEqual(Array(3).fill('blocked'))
  for (const answer of answers) {
    const { outcome, reasons } = await decisionOf(answer)
    expect([outcome, reasons.join()]).toEqual(['deny', expect.stringContaining(run.id)])
  }
  expect(answers[1]!.body.decision).toBe(answers[2]!.body.decision)
  expect((await events()).length).toBe(2)
  const { body } = await api.call('GET', `/v1/tasks/${task.id}/trail`, operator)
  expect(body.decisions).toContainEqual(expect.objectContaining({ id: answers[1]!.body.decision }))

  await revoke({ everything: true, hold: true })
  const lookedUp = await open([asks.api])
  expect(lookedUp.body).toMatchObject({ code: 'blocked', decision: expect.stringMatching(/^dec_/) })
})

describe('an agent that is suspended', () => {
  const suspended = async () => {
    await start()
    const path = '/v1/agents/release/suspend'
    expect((await api.call('POST', path, operator, { reason: 'odd' })).status).toBe(200)
    return open()
  }

  test('is refused as that, and the denial is kept', async () => {
    const answer = await suspended()
    expect([answer.status, answer.body.code]).toEqual([403, 'agent_not_active'])
    expect((await decisionOf(answer)).reasons).toEqual(['agent_not_active: release is suspended'])
    expect((await open()).body.decision).toBe(answer.body.decision)
  })

  test('whatever policy would say of it', async () => {
    await mkdir(join(installation.directory, 'policies'))
    const text =
      '@id("stand") permit(principal is Mayfly::Agent, action in Mayfly::Action::"*:*", resource) when { principal.status == "active" };'
    await writeFile(join(installation.directory, 'policies', 'stand.cedar'), text)
    await installation.configure({ settings: { policies_dir: 'policies' } })
    const answer = await suspended()
    expect([answer.status, answer.body.code]).toEqual([403, 'agent_not_active'])
    const { facts } = await decisionOf(answer)
    expect(facts).toMatchObject({ identity: { attestor: 'actions' }, purpose: 'x' })
  })
})
