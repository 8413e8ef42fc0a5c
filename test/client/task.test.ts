/** The client against a whole broker, over a wire that loses answers. */
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { approve, deny } from '../../src/broker/approvals/answer-approval.ts'
import type { Operator } from '../../src/broker/people/operator.ts'
import {
  type Ask,
  aws,
  createMayfly,
  github,
  isDenied,
  isPending,
  isUnavailable,
  jwt,
  type MayflyError,
} from '../../src/client/index.ts'
import { noPolicy } from '../../src/policy/facts.ts'
import { readReceipt } from '../../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../../src/server.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { BUCKET, createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { people } from '../support/humans.ts'
import { until } from '../support/until.ts'
import { type FaultyWire, startFaultyWire } from './faulty-wire.ts'

let installation: Installation
let broker: RunningServer
let wire: FaultyWire
/** What was waited out; the broker's clock went on by it. */
let waits: number[]
/** What waits in the background, to be run by hand. */
let background: Set<() => void>

beforeAll(async () => {
  installation = await createInstallation()
  await start()
  wire = await startFaultyWire(broker.url)
})
afterAll(async () => {
  await wire?.close()
  await broker?.stop()
  await installation?.close()
})
beforeEach(() => {
  wire.reset()
  waits = []
  background = new Set()
})
afterEach(() => {
  broker.broker.policy = noPolicy
})

async function start(): Promise<void> {
  broker = await startBroker(installation)
  broker.broker.people = people()
}

const api = github({ repositories: ['acme/api'], permissions: { contents: 'write' } })
const orders = jwt({ audience: ORDERS, scopes: ['orders.read'] })
const OPEN = 'POST /v1/tasks'
const MINT = 'POST /v1/tasks/*/credentials'
const COMPLETE = 'POST /v1/tasks/*/complete'

function mayflyFor(evidence: () => string | Promise<string> = () => installation.jobToken()) {
  return createMayfly({
    url: wire.url,
    evidence,
    now: installation.clock.now,
    schedule(ms, run, options) {
      if (options?.background) {
        const once = () => {
          background.delete(once)
          run()
        }
        background.add(once)
        return () => background.delete(once)
      }
      waits.push(ms)
      installation.clock.advance(ms)
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    },
  })
}

const open = <const Asks extends readonly Ask[]>(asks: Asks) =>
  mayflyFor().openTask({ purpose: 'a test', asks })
const rejection = (work: Promise<unknown>): Promise<MayflyError> =>
  work.then(
    () => Promise.reject(new Error('it was not refused')),
    error => error,
  )
const row = async (id: string) => (await broker.broker.ledger.read.task(id))!
const activeTasks = async () =>
  (await broker.broker.ledger.read.tasks({ state: 'active' }, { limit: 100 })).items.filter(
    task => task.system === 0,
  )
const leasesOf = async (task: string) =>
  (await broker.broker.ledger.read.leases({ task }, { limit: 100 })).items
const count = (operation: string) => wire.seen.filter(one => one === operation).length
const readme = (token: string) =>
  fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, {
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
  })

describe('a task', () => {
  test('ends with its scope, and what it held is dead', async () => {
    let [token, id] = ['', '']
    {
      await using task = await open([api, orders])
      ;({ id } = task)
      token = (await task.credential(api)).reveal()
      expect((await readme(token)).status).toBe(200)
      expect((await task.credential(task.asks[1])).reveal()).toMatch(/^eyJ/)
      expect([task.agent, task.state, task.signal.aborted]).toEqual(['release', 'active', false])
    }
    expect(await row(id)).toMatchObject({ end: 'completed' })
    await until(async () => (await row(id)).state === 'settled')
    expect((await readme(token)).status).toBe(401)
  })

  test.each([
    ['complete', 'completed'],
    ['fail', 'failed'],
    ['cancel', 'cancelled'],
  ] as const)('%s ends it as %s, once', async (verb, end) => {
    const task = await open([orders])
    const status = await task[verb]({ detail: 'enough' })
    expect(status).toMatchObject({ end, credentials: [] })
    await task[Symbol.asyncDispose]()
    expect(await row(task.id)).toMatchObject({ end, end_detail: 'enough' })
    expect([task.signal.aborted, background.size, count(COMPLETE)]).toEqual([true, 0, 1])
    expect(await rejection(task.credential(orders))).toMatchObject({ code: 'task_not_active', status: 409 })
  })

  test('withTask says how the work went', async () => {
    const mayfly = mayflyFor()
    let id = ''
    const work = { purpose: 'a test', asks: [orders] }
    expect(await mayfly.withTask(work, async task => (await task.credential(orders)).issuer)).toBe('jwt')
    const broken = new Error('the work broke')
    const failing = mayfly.withTask(work, task => {
      ;({ id } = task)
      throw broken
    })
    expect(await rejection(failing)).toBe(broken)
    expect(await row(id)).toMatchObject({ end: 'failed', end_detail: null })
    const giving = new AbortController()
    const given = mayfly.withTask({ ...work, signal: giving.signal }, task => {
      ;({ id } = task)
      giving.abort(broken)
      throw broken
    })
    expect(await rejection(given)).toBe(broken)
    expect(await row(id)).toMatchObject({ end: 'cancelled' })
  })

  test('the parts of an AWS session are parts', async () => {
    const artifacts = aws({
      role: installation.roleArn,
      statements: [{ actions: ['s3:GetObject'], resources: [`arn:aws:s3:::${BUCKET}/*`] }],
    })
    await using task = await open([artifacts])
    const session = await task.credential(artifacts)
    expect(session.details).toMatchObject({ account: installation.roleArn.split(':')[4] })
    const { AccessKeyId, SessionToken } = session.reveal()
    expect(installation.aws.credentials().at(-1)).toMatchObject({
      ...{ accessKeyId: AccessKeyId, sessionToken: SessionToken },
    })
    const misnamed = jwt({ issuer: 'aws', audience: 'x' })
    expect(await rejection(task.ask(misnamed))).toMatchObject({ code: 'ask_invalid', status: 400 })
  })

  test('nothing of it prints a secret', async () => {
    await using task = await open([api])
    const credential = await task.credential(api)
    const secret = credential.reveal()
    const shown = [
      `${credential}`,
      JSON.stringify({ credential, task }),
      inspect({ credential, task }, false, 9),
    ]
    expect(shown[0]).toBe('[secret]')
    for (const text of shown) for (const one of [secret, 'mft_']) expect(text.includes(one)).toBe(false)
  })

  test('a credential given back is dead, and the task goes on with another', async () => {
    await using task = await open([api, orders])
    const first = await task.credential(api)
    wire.fault = ({ operation, when, nth }) =>
      operation.startsWith('DELETE') && when === 'after' && nth === 0 ? 'drop' : 'ok'
    await task.giveBack(first)
    await until(async () => (await readme(first.reveal())).status === 401)
    const second = await task.credential(api)
    expect((await readme(second.reveal())).status).toBe(200)
    await task.giveBack(first)
    expect(await task.credential(api)).toBe(second)
    await using other = await open([orders])
    const foreign = other.giveBack(second)
    expect(await rejection(foreign)).toMatchObject({ code: 'not_found', status: 404 })
    expect((await readme(second.reveal())).status).toBe(200)
  })

  test('one ask more, more time, a receipt', async () => {
    const task = await open([orders])
    const more = await task.ask(api)
    expect(more).toMatchObject({ state: 'granted', asked: api })
    const credential = await task.credential(more)
    expect((await readme(credential.reveal())).status).toBe(200)
    expect(task.asks.map(one => one.asked)).toEqual([orders, api])
    expect(count(MINT)).toBe(1)
    const deadline = await task.extend({ minutes: 30, reason: 'the tests are slow' })
    expect([task.deadline, (await row(task.id)).deadline]).toEqual([deadline, deadline.getTime()])
    expect(await task.receipt({ waitMs: 0 })).toBeUndefined()
    await task.complete()
    const receipt = readReceipt((await task.receipt({ waitMs: 60_000 }))!)
    expect(receipt?.task.id).toBe(task.id)
    expect(receipt?.credentials.map(one => one.lease)).toEqual([credential.lease])
    expect((await task.read()).state).toBe('settled')
    expect(task.state).toBe('settled')
  })

  test('goes on in another process, which ends it', async () => {
    const task = await open([orders])
    const first = await task.credential(orders)
    const mayfly = mayflyFor(() => Promise.reject(new Error('no evidence is needed')))
    const again = await mayfly.resumeTask({ id: task.id, token: task.token.reveal() })
    expect(again).toMatchObject({ id: task.id, agent: 'release', decision: null, state: 'active' })
    const [ask] = again.asks
    const second = await again.credential(ask!)
    expect([second.ask === first.ask, second.lease === first.lease]).toEqual([true, false])
    await again.complete()
    const { id, token } = task
    expect((await mayfly.resumeTask({ id, token })).signal.aborted).toBe(true)
    await task.read()
    expect([task.signal.aborted, background.size]).toEqual([true, 0])
    const wrong = mayfly.resumeTask({ id: '../leases', token: task.token })
    expect(await rejection(wrong)).toMatchObject({ status: 404 })
  })

  test('a ticket opens a task below it', async () => {
    const parent = mayflyFor(() => installation.svid('spiffe://acme.test/agent/coder'))
    const child = mayflyFor(() => installation.svid('spiffe://acme.test/agent/reviewer'))
    await using task = await parent.openTask({ purpose: 'code', asks: [api] })
    const read = github({ repositories: ['acme/api'], permissions: { contents: 'read' } })
    const { ticket } = await task.ticket({ agent: 'reviewer', minutes: 10, asks: [read] })
    expect(`${ticket}`).toBe('[secret]')
    await using below = await child.openTask({ purpose: 'review', asks: [read], ticket })
    expect(await row(below.id)).toMatchObject({ agent: 'reviewer', parent: task.id })
  })

  test('is kept alive as agreed, and tells when it is over', async () => {
    const task = await mayflyFor().openTask({ purpose: 'a test', asks: [orders], heartbeatSeconds: 30 })
    const due = (await row(task.id)).heartbeat_due!
    expect(background.size).toBe(1)
    installation.clock.advance(10_000)
    for (const beat of [...background]) beat()
    await until(async () => (await row(task.id)).heartbeat_due! > due)
    await until(() => background.size === 1)
    // Time in which the broker did not look is not held against anyone.
    for (let second = 0; second < 40; second += 10) {
      installation.clock.advance(10_000)
      await broker.look()
    }
    await until(async () => (await row(task.id)).state !== 'active')
    for (const beat of [...background]) beat()
    await until(() => task.signal.aborted)
    expect(task.state).toBe('ended')
    await task[Symbol.asyncDispose]()
    expect([count(COMPLETE), (await row(task.id)).end]).toEqual([0, 'lapsed'])
  })
})

describe('a credential', () => {
  test('is minted once for whoever asks, and again when too little life is left', async () => {
    await using task = await open([orders])
    const all = await Promise.all([task.credential(orders), task.credential(orders), task.credential(orders)])
    const [first] = all
    expect(new Set(all).size).toBe(1)
    expect(await task.credential(orders, { atLeastMs: 5 * 60_000 })).toBe(first)
    installation.clock.advance(11 * 60_000)
    const wanted = { atLeastMs: 5 * 60_000 }
    const [second, same] = await Promise.all([
      task.credential(orders, wanted),
      task.credential(orders, wanted),
    ])
    expect(second).toBe(same)
    expect([second.lease === first.lease, count(MINT)]).toEqual([false, 2])
    expect((await leasesOf(task.id)).map(lease => lease.state)).toEqual(['active', 'active'])
  })

  test('an ask that the task does not have is told without a call', async () => {
    await using task = await open([orders])
    expect(await rejection(task.credential(api))).toMatchObject({ code: 'ask_unknown' })
    expect(await rejection(open([orders, orders]))).toMatchObject({ code: 'ask_unknown' })
    expect(wire.seen).toEqual([OPEN])
  })

  test('whose answer is lost is not asked for again; it dies with the task', async () => {
    const task = await open([api])
    wire.fault = ({ operation, when }) => (operation === MINT && when === 'after' ? 'drop' : 'ok')
    const error = await rejection(task.credential(api))
    expect(error).toMatchObject({ code: 'answer_lost', retryable: false, status: undefined })
    expect([isUnavailable(error), count(MINT), (await leasesOf(task.id)).length]).toEqual([true, 1, 1])
    wire.fault = () => 'ok'
    await task.credential(api)
    expect((await leasesOf(task.id)).length).toBe(2)
    await task.complete()
    await until(async () => (await row(task.id)).state === 'settled')
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('a signal ends the waiting, not the minting', async () => {
    await using task = await open([api])
    const [minting, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    wire.fault = async ({ operation, when }): Promise<FaultDecision> => {
      if (operation === MINT && when === 'after') {
        minting.resolve()
        await gate.promise
      }
      return 'ok'
    }
    const giving = new AbortController()
    const given = rejection(task.credential(api, { signal: giving.signal }))
    await minting.promise
    giving.abort(new Error('enough'))
    expect(await given).toMatchObject({ message: 'enough' })
    const waiting = task.credential(api)
    gate.resolve()
    expect((await waiting).issuer).toBe('github')
    expect(count(MINT)).toBe(1)
  })
})

describe('answers that are lost', () => {
  test.each(['before', 'after'] as const)('while it opens, %s the effect: one task', async side => {
    const before = (await activeTasks()).length
    wire.fault = ({ operation, when, nth }) =>
      operation === OPEN && when === side && nth === 0 ? 'drop' : 'ok'
    const task = await open([orders])
    expect([count(OPEN), waits]).toEqual([2, [1_500]])
    expect((await activeTasks()).length).toBe(before + 1)
    await task.complete()
  })

  test('while it ends: it is told again', async () => {
    const task = await open([orders])
    wire.fault = ({ operation, when, nth }) =>
      operation === COMPLETE && when === 'after' && nth < 2 ? 'drop' : 'ok'
    expect(await task.complete()).toMatchObject({ end: 'completed' })
    expect(count(COMPLETE)).toBe(3)
  })

  test('an end that cannot be told is an error, and stays what it was when the scope tells it again', async () => {
    const task = await open([orders])
    wire.fault = ({ operation }) => (operation === COMPLETE ? 'drop' : 'ok')
    expect(await rejection(task.fail())).toMatchObject({ code: 'answer_lost', retryable: true })
    expect([task.state, background.size]).toEqual(['active', 0])
    wire.fault = () => 'ok'
    await task[Symbol.asyncDispose]()
    expect(await row(task.id)).toMatchObject({ end: 'failed' })
  })

  test('Retry-After is waited out within a bound', async () => {
    const busy = (seconds: string) => ({
      status: 503,
      headers: { 'retry-after': seconds },
      body: JSON.stringify({ title: 'Busy', detail: 'come back', code: 'ledger_unavailable' }),
    })
    wire.fault = ({ when, nth }) => (when === 'before' && nth < 2 ? busy('3') : 'ok')
    const task = await open([orders])
    expect(waits).toEqual([3_000, 3_000])
    wire.fault = ({ when }) => (when === 'before' ? busy('60') : 'ok')
    const error = await rejection(task.credential(orders))
    expect(error).toMatchObject({ status: 503, retryable: true, retryAfterMs: 60_000 })
    expect(isUnavailable(error)).toBe(true)
    wire.fault = () => 'ok'
    await task.complete()
  })

  test('an opening that is given up leaves no task behind, though its first answer was lost', async () => {
    const before = (await activeTasks()).length
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    wire.fault = async ({ operation, when, nth }) => {
      if (operation !== OPEN || when === 'before') return 'ok'
      reached.resolve()
      await gate.promise
      return nth === 0 ? 'drop' : 'ok'
    }
    const giving = new AbortController()
    const given = rejection(
      mayflyFor().openTask({ purpose: 'given up', asks: [orders], signal: giving.signal }),
    )
    await reached.promise
    giving.abort(new Error('enough'))
    expect(await given).toMatchObject({ message: 'enough' })
    expect((await activeTasks()).length).toBe(before + 1)
    gate.resolve()
    await until(async () => (await activeTasks()).length === before)
    expect([count(OPEN), count(COMPLETE)]).toEqual([2, 1])
  })

  test('a broker that starts again goes on with the task', async () => {
    const task = await open([orders, api])
    const before = await task.credential(api)
    await broker.stop()
    const gone = await rejection(mayflyTo(broker.url).openTask({ purpose: 'nobody there', asks: [] }))
    expect(gone).toMatchObject({ code: 'unreachable', retryable: true, status: undefined })
    await start()
    wire.target = broker.url
    expect((await task.credential(orders)).issuer).toBe('jwt')
    expect(await task.credential(api)).toBe(before)
    await task.complete()
    await until(async () => (await row(task.id)).state === 'settled')
    expect((await readme(before.reveal())).status).toBe(401)
  })
})

function mayflyTo(url: string) {
  return createMayfly({
    url,
    evidence: () => installation.jobToken(),
    schedule(_, run) {
      setImmediate(run)
      return () => {}
    },
  })
}

describe('a no, and a not yet', () => {
  const ada: Operator = {
    ...{ id: 'https://people.test#ada', name: 'ada', groups: ['approvers'], kind: 'human', fresh: true },
  }

  test('a denial names the decision to quote, and nothing secret', async () => {
    const other = github({ repositories: ['acme/web'], permissions: { contents: 'write' } })
    const error = await rejection(open([other]))
    expect([isDenied(error), isPending(error), error.retryable]).toEqual([true, false, false])
    expect(error).toMatchObject({ code: 'ask_denied', status: 403, decision: expect.stringMatching(/^dec_/) })
    expect(error.message).toContain(`Quote decision ${error.decision}`)
    expect(error.message).toContain('Ask for less')
    const stale = await rejection(mayflyFor(() => 'a.b.c').openTask({ purpose: 'a test', asks: [orders] }))
    expect(stale).toMatchObject({ code: 'evidence_rejected', status: 401 })
    expect(inspect(stale)).not.toContain('a.b.c')
    const none = await rejection(
      mayflyFor(() => 'mft_not a jwt').openTask({ purpose: 'a test', asks: [orders] }),
    )
    expect(none).toMatchObject({ code: 'evidence_malformed' })
    expect(inspect(none)).not.toContain('mft_')
  })

  test('an ask waits for humans, beside one that does not', async () => {
    broker.broker.policy = askingPolicy()
    await using task = await open([orders, api])
    expect(task.asks.map(one => one.state)).toEqual(['granted', 'pending'])
    await task.credential(orders)
    const early = await rejection(task.credential(api))
    expect([isPending(early), early.retryable, early.status]).toEqual([true, true, 409])
    expect(await rejection(task.waitForApproval({ timeoutMs: 0 }))).toMatchObject({
      code: 'approval_pending',
      message: expect.stringContaining(task.asks[1].approval!.id),
    })
    const giving = new AbortController()
    const given = rejection(task.waitForApproval({ signal: giving.signal }))
    giving.abort(new Error('enough'))
    expect(await given).toMatchObject({ message: 'enough' })

    const waiting = task.waitForApproval({ ask: api })
    await approve(broker.broker, ada, task.asks[1].approval!.id, null)
    await waiting
    expect(task.asks[1].state).toBe('granted')
    expect((await readme((await task.credential(api)).reveal())).status).toBe(200)
  })

  test('one that is denied stays so, with the reason of whoever said no', async () => {
    broker.broker.policy = askingPolicy()
    await using task = await open([orders])
    const more = await task.ask(api, { justification: 'the release needs it' })
    expect([more.state, more.approval?.state]).toEqual(['pending', 'pending'])
    await deny(broker.broker, ada, more.approval!.id, 'not during\u0007 the freeze')
    const error = await rejection(task.waitForApproval())
    expect([error.code, isDenied(error), more.state]).toEqual(['approval_over', true, 'denied'])
    expect(error.message).toContain('because: not during  the freeze')
    expect(await rejection(task.credential(more))).toMatchObject({ code: 'approval_over', status: 409 })
  })
})
