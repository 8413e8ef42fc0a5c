/** Policies in a whole broker: from a folder to what is minted, and to what is live. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'

let installation: Installation
let broker: RunningServer | undefined
let api: Api

beforeEach(async () => {
  installation = await createInstallation()
  await mkdir(join(installation.directory, 'policies'))
  await installation.configure({ settings: { policies_dir: 'policies' } })
})
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  await installation?.close()
})

const put = (name: string, text: string) => writeFile(join(installation.directory, 'policies', name), text)
const ALL = '@id("all")\npermit(principal, action in Mayfly::Action::"*:*", resource);'
const NO_WRITES = '@id("no-writes")\nforbid(principal, action in Mayfly::Action::"*:propose", resource);'
const ONCE = `@id("once") forbid(principal, action in Mayfly::Action::"*:*", resource) when { context.held.credentials.owner > 0 };`
const alive = () => installation.github.credentials().filter(one => one.alive)

async function start(...texts: string[]): Promise<RunningServer> {
  for (const [index, text] of texts.entries()) await put(`${index}.cedar`, text)
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  return broker
}
const refused = (wanted: unknown[]) => api.open(wanted).catch((error: Error) => error.message)

describe('a folder of policies', () => {
  test('that permits everything changes nothing, and its hash stands in decisions and in the ledger', async () => {
    const { broker } = await start(ALL)
    const task = await api.open([asks.api])
    expect((await api.credential(task)).status).toBe(201)
    const decision = await broker.ledger.read.decision(task.answer.body.task.asks[0].decision ?? '')
    const hash = broker.policy.hash()
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(await broker.ledger.read.meta('policy_hash')).toBe(hash)
    if (decision !== undefined) expect(decision.policy_hash).toBe(hash)
  })

  test('that is empty permits nothing', async () => {
    await start()
    expect(await refused([asks.api])).toContain('ask_denied')
  })

  test('is refused whole where one policy is wrong, by file and line', async () => {
    const error = await start(ALL, `\n${NO_WRITES.replace('resource', 'resorce')}`).catch(one => one)
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toMatch(/policies\/1\.cedar:\d/)
    await rm(join(installation.directory, 'policies'), { recursive: true })
    await expect(startBroker(installation)).rejects.toThrow('policies_dir')
  })
})

describe('other policies', () => {
  test('come into force on reload, and end what they would not give', async () => {
    const running = await start(ALL)
    const writes = await api.open([asks.api])
    const reads = await api.open([asks.apiRead])
    await api.credential(writes)
    await api.credential(reads)
    expect(alive()).toHaveLength(2)
    await put('1.cedar', NO_WRITES)
    await running.reload()
    await expect.poll(() => alive().length).toBe(1)
    expect((await api.credential(writes)).body.code).toBe('ask_denied')
    expect((await api.credential(reads)).status).toBe(201)
  })

  test('that are wrong leave everything as it was', async () => {
    const running = await start(ALL)
    const before = running.broker.policy.hash()
    await put('1.cedar', 'permit(principal')
    await expect(running.reload()).rejects.toThrow('1.cedar:1')
    expect(running.broker.policy.hash()).toBe(before)
    expect((await api.credential(await api.open([asks.api]))).status).toBe(201)
  })

  test('are held against what lived through a restart', async () => {
    const first = await start(ALL)
    await api.credential(await api.open([asks.api]))
    await first.stop()
    const second = await start(ALL, NO_WRITES)
    await second.look()
    await expect.poll(() => alive()).toEqual([])
  })
})

describe('the trail of a task', () => {
  type Event = { event: string; lease: string; data: { decision?: string } }
  const trailOf = async (server: RunningServer, task: string) => {
    const operator = await operatorTokenOf(server)
    const { body } = await api.call('GET', `/v1/tasks/${task}/trail`, operator)
    const of = (name: string) => (body.events as Event[]).filter(({ event }) => event === name)
    const decision = async (id = '') => (await api.call('GET', `/v1/decisions/${id}`, operator)).body
    return { ids: body.decisions.map(({ id }: { id: string }) => id) as string[], of, decision }
  }

  test('names the decision by which other policies took a credential back', async () => {
    const running = await start(ALL)
    const task = await api.open([asks.api])
    const { lease } = (await api.credential(task)).body
    await put('1.cedar', NO_WRITES)
    await running.reload()
    await expect.poll(() => alive()).toEqual([])
    const { ids, of, decision } = await trailOf(running, task.id)
    const [revoking] = of('lease.revoking')
    expect(revoking?.lease).toBe(lease)
    expect(ids).toContain(revoking?.data.decision)
    const shown = await decision(revoking?.data.decision)
    expect(shown).toMatchObject({ outcome: 'deny', in_force: true, task: task.id })
    expect(shown.reasons.join()).toContain('no-writes')
    expect(shown.facts).toMatchObject({ lease, asks: [{ issuer: 'github', determining: ['no-writes'] }] })
  })

  test('has one decision for an exchange, and one more for each credential after it', async () => {
    const running = await start(ALL)
    const { body } = await api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await installation.jobToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      authorization_details: JSON.stringify([asks.orders]),
    })
    const first = await trailOf(running, body.task_id)
    expect(first.ids).toHaveLength(1)
    expect(first.of('lease.activated').map(({ data }) => data.decision)).toEqual(first.ids)
    const { asks: rows } = (await api.call('GET', `/v1/tasks/${body.task_id}`, body.task_token)).body
    await api.call('POST', `/v1/tasks/${body.task_id}/credentials`, body.task_token, { ask: rows[0].id })
    const { ids, of, decision } = await trailOf(running, body.task_id)
    expect(of('lease.activated').map(({ data }) => data.decision)).toEqual(ids)
    expect(ids).toHaveLength(2)
    expect(await decision(ids[1])).toMatchObject({ outcome: 'allow', in_force: true, task: body.task_id })
  })
})

describe('a rule over what was given out before', () => {
  test('holds against asks that are judged at the same time', async () => {
    await start(ALL, ONCE)
    const tasks = await Promise.all([1, 2, 3].map(() => api.open([asks.api])))
    const answers = await Promise.all(tasks.map(task => api.credential(task)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 403, 403])
    expect(alive()).toHaveLength(1)
    // What is live is not held against itself.
    await put('2.cedar', '@id("more") permit(principal, action, resource is Mayfly::Repository);')
    await broker?.reload()
    expect(alive()).toHaveLength(1)
  })

  test('and against first credentials', async () => {
    await start(ALL, ONCE)
    const exchange = async () =>
      api.form('/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await installation.jobToken(),
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        authorization_details: JSON.stringify([asks.orders]),
      })
    const answers = await Promise.all([exchange(), exchange()])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400])
  })
})

test('more time is judged for as long as the task would then live', async () => {
  await start(
    '@id("short") permit(principal, action in Mayfly::Action::"*:*", resource) when { context.ttlSeconds <= 900 };',
  )
  const task = await api.open([asks.orders], { minutes: 10 })
  const extend = (minutes: number) =>
    api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, { minutes, reason: 'slow' })
  const { code, decision } = (await extend(30)).body
  expect({ code, decision }).toEqual({ code: 'ask_denied', decision: expect.stringMatching(/^dec_/) })
  expect((await extend(14)).status).toBe(200)
  expect((await api.credential(task)).status).toBe(201)
})
