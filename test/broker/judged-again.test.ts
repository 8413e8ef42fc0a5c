/** What was allowed once is not allowed for good: narrowing, expiry, extension, prune and retries. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noteChanged, reassess } from '../../src/broker/decisions/reassess.ts'
import type { RunningServer } from '../../src/server.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { registerAgents } from '../support/register-agents.ts'

const MINUTE = 60_000
let installation: Installation
let broker: RunningServer
let api: Api

beforeEach(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

const alive = () => installation.github.credentials().filter(one => one.alive)
const svid = (path: string) => ({ type: 'jwt', token: installation.svid(path) })
const coder = (wanted: unknown[], extra = {}) =>
  api.open(wanted, { evidence: svid('/agent/coder'), ...extra })

async function change(name: string, changes: Record<string, unknown>): Promise<void> {
  await installation.configure({ agents: { [name]: { ...installation.agents[name], ...changes } } })
}

async function ticketFor(parent: OpenedTask, wanted: unknown[], minutes = 10): Promise<string> {
  const body = { agent: 'reviewer', minutes, authorization_details: wanted }
  const answer = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body.ticket
}

const childOf = async (ticket: string, wanted: unknown[]) =>
  api.open(wanted, { evidence: svid('/agent/reviewer'), ticket })

describe('tickets', () => {
  test('a child is not extended past the minutes of its ticket', async () => {
    const child = await childOf(await ticketFor(await coder([]), [asks.api], 2), [asks.api])
    const more = { minutes: 5, reason: 'slow' }
    const answer = await api.call('POST', `/v1/tasks/${child.id}/extend`, child.token, more)
    expect(answer.body).toMatchObject({
      code: 'ask_denied',
      detail: expect.stringMatching(/at most [12] more/),
    })
  })

  test('pruning leaves the ticket of a living child alone', async () => {
    const child = await childOf(await ticketFor(await coder([], { minutes: 60 }), [asks.apiRead], 50), [
      asks.apiRead,
    ])
    installation.clock.advance(20 * MINUTE)
    await broker.broker.ledger.write(tx => tx.prune(1_000))
    expect((await api.credential(child)).status).toBe(201)
  })

  test('a child whose answer was lost is opened again with the same ticket, and once', async () => {
    const parent = await coder([])
    const ticket = await ticketFor(parent, [asks.orders])
    const again = () =>
      api.call('POST', '/v1/tasks', undefined, {
        ...{ evidence: svid('/agent/reviewer'), purpose: 'review', ticket },
        authorization_details: [asks.orders],
      })
    const lost = await again()
    expect((await again()).body.code).toBe('ticket_rejected')
    installation.clock.advance(2_000)
    const second = await again()
    expect(second.status, JSON.stringify(second.body)).toBe(201)
    expect(await broker.broker.ledger.read.task(lost.body.task.id)).toMatchObject({ end: 'cancelled' })
    const used = {
      id: second.body.task.id,
      token: second.body.task_token,
      asks: [second.body.task.asks[0].id],
      answer: second,
    }
    expect((await api.credential(used)).status).toBe(201)
    installation.clock.advance(2_000)
    expect((await again()).body.code).toBe('ticket_rejected')
  })

  test('an ended task opens none, and asks no provider on the way', async () => {
    const parent = await coder([])
    await api.complete(parent)
    const body = { agent: 'reviewer', minutes: 5, authorization_details: [asks.api] }
    const answer = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, body)
    expect(answer.body.code).toBe('task_not_active')
    expect(installation.github.credentials()).toEqual([])
  })
})

describe('evidence', () => {
  test('does not work again after its task was ended by an operator, or expired', async () => {
    for (const end of ['revoked', 'expired'] as const) {
      const token = await installation.jobToken()
      const again = () =>
        api.call('POST', '/v1/tasks', undefined, {
          evidence: { type: 'jwt', token },
          purpose: 'x',
          authorization_details: [],
        })
      const { body } = await again()
      const { endTask } = await import('../../src/broker/tasks/end-task.ts')
      await endTask(broker.broker, body.task.id, end, { actor: 'operator:test' })
      installation.clock.advance(5_000)
      expect((await again()).body.code).toBe('evidence_rejected')
    }
  })

  test('works again at once after an exchange whose first credential was not minted', async () => {
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      subject_token: await installation.jobToken(),
      authorization_details: JSON.stringify([
        {
          type: 'github',
          repository_ids: [1],
          repositories: ['acme/api'],
          permissions: { contents: 'read' },
        },
      ]),
    }
    let fail = 2
    installation.github.faults = ({ operation, when }): FaultDecision =>
      operation === 'apps/create-installation-access-token' && when === 'before' && fail-- === 1
        ? { status: 500 }
        : 'ok'
    expect((await api.form('/oauth/token', form)).status).toBe(503)
    installation.github.faults = () => 'ok'
    const answer = await api.form('/oauth/token', form)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  })
})

describe('an agent', () => {
  test('that has expired mints nothing, and its tasks end', async () => {
    const task = await api.open([asks.api])
    await change('release', { expires_at: new Date(installation.clock.now() + 60_000).toISOString() })
    await broker.reload()
    const { deadline } = (await api.show(task)).body
    expect(Date.parse(deadline)).toBeLessThanOrEqual(installation.clock.now() + 60_000)
    installation.clock.advance(61_000)
    expect((await api.credential(task)).body.code).toBe('task_not_active')
    await broker.look()
    expect((await api.until(task, 'ended')).body.end).toBe('expired')
  })

  test('whose rule no longer matches loses its tasks; one that may no longer delegate, its children', async () => {
    const task = await api.open([asks.api])
    const parent = await coder([])
    const child = await childOf(await ticketFor(parent, []), [])
    const rule = { attestor: 'actions', claims: { repository_id: '2' } }
    await installation.configure({
      agents: {
        release: { ...installation.agents.release, attest: [rule] },
        coder: { ...installation.agents.coder, may_delegate_to: [] },
      },
    })
    await broker.reload()
    expect((await api.until(task, 'ended')).body).toMatchObject({ end: 'revoked' })
    expect((await api.until(child, 'ended')).body).toMatchObject({ end: 'revoked' })
    expect((await api.show(parent)).body.state).toBe('active')
  })

  test('that is narrowed narrows what its children hold, too', async () => {
    const parent = await coder([asks.api])
    const child = await childOf(await ticketFor(parent, [asks.api]), [asks.api])
    await api.credential(child)
    await change('coder', {
      ceiling: { github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }] },
    })
    await broker.reload()
    await expect.poll(alive).toEqual([])
    expect((await api.show(child)).body.state).toBe('active')
  })

  test('is still looked at when the first look was cut short', async () => {
    const task = await api.open([asks.api])
    await api.credential(task)
    const narrowed = { github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }] }
    const agents = new Map(broker.broker.agents())
    agents.set('release', { ...agents.get('release')!, digest: 'f'.repeat(64), ceiling: narrowed })
    // The change is committed, and nothing more: as after a crash.
    await registerAgents({ ...broker.broker, agents: () => agents }, agents)
    await broker.stop()
    await change('release', { ceiling: narrowed })
    broker = await startBroker(installation)
    await expect.poll(alive).toEqual([])
    await reassess(broker.broker)
    expect(await broker.broker.ledger.read.meta('agents_to_reassess')).toBe('[]')
  })

  test('that is narrowed while a credential is at the provider: the answer is judged anew', async () => {
    const task = await api.open([asks.api])
    const atGithub = Promise.withResolvers<void>()
    const letGo = Promise.withResolvers<void>()
    installation.github.faults = async ({ operation, when }): Promise<FaultDecision> => {
      if (operation !== 'apps/create-installation-access-token' || when === 'before') return 'ok'
      atGithub.resolve()
      await letGo.promise
      return 'ok'
    }
    const minting = api.credential(task)
    await atGithub.promise
    await change('release', {
      ceiling: { github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }] },
    })
    await broker.reload()
    letGo.resolve()
    expect((await minting).body.code).toBe('ask_denied')
    await expect.poll(alive).toEqual([])
  })

  test('whose row was altered outside the broker ends, and does not keep others from being looked at', async () => {
    const [task, other] = [await api.open([asks.api]), await api.open([asks.api])]
    await api.credential(task)
    const { ledger } = broker.broker
    await ledger.write(async tx => {
      await tx.extendTask(task.id, tx.now + 50 * MINUTE, 'not of the broker')
      await noteChanged(tx, ['release'])
    })
    await reassess(broker.broker)
    expect(await ledger.read.task(task.id)).toMatchObject({ end: 'revoked' })
    expect(await ledger.read.task(other.id)).toMatchObject({ state: 'active' })
    await expect.poll(alive).toEqual([])
  })

  test('that asks for more time is judged by the rules and the ceiling of today', async () => {
    const task = await api.open([asks.api])
    const extend = () =>
      api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, { minutes: 50, reason: 'slow' })
    expect((await extend()).status).toBe(200)
    await change('release', {
      ceiling: { jwt: [{ audience: 'https://orders.example.com', scopes: ['orders.read'] }] },
    })
    await broker.reload()
    const answer = await extend()
    expect(answer.body).toMatchObject({ code: 'ask_denied', decision: expect.stringMatching(/^dec_/) })
  })
})

describe('names', () => {
  const web = { type: 'github', repositories: ['acme/web'], permissions: { contents: 'read' } }
  const nowhere = { ...web, repositories: ['acme/nowhere'] }

  test('beyond the ceiling are not looked up: what exists there is nobody’s to learn', async () => {
    const task = await api.open([])
    const ask = (wanted: unknown) =>
      api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, { authorization_details: [wanted] })
    const [there, missing] = [await ask(web), await ask(nowhere)]
    expect([there.status, there.body.code]).toEqual([missing.status, missing.body.code])
    expect(there.body.code).toBe('ask_denied')
    expect(installation.github.credentials()).toEqual([])
  })
})

describe('a clock that leapt', () => {
  test('does not let a living credential out of sight', async () => {
    const task = await api.open([asks.api])
    await api.credential(task)
    const { ledger } = broker.broker
    const now = ledger.now
    ledger.now = async () => (await now()) + 3 * 60 * MINUTE
    await api.complete(task)
    await broker.look()
    ledger.now = now
    await expect.poll(alive).toEqual([])
    const { body } = await api.until(task, 'settled')
    expect(body.credentials[0]).toMatchObject({ closed_as: 'revoked' })
  })
})
