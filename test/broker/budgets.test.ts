/** Budgets of agents, owners and lineages, through the HTTP ports of two brokers on one PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { openTask } from '../../src/broker/tasks/open-task.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, type Installation, ORDERS } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'budgets', budgets)

const HOUR_MS = 3_600_000

function agent(ref: string, limits: Record<string, number> = {}) {
  const github = [{ repositories: ['acme/api'], permissions: { contents: 'write' } }]
  return {
    purpose: 'Uses up what there is',
    risk_tier: 'low',
    owner: { business: `team ${ref}`, technical: 'platform@acme.test' },
    systems: ['api'],
    expires_at: '2040-01-01T00:00:00Z',
    limits: { task_minutes: 600, active_tasks: 100, credentials_per_hour: 100, ...limits },
    ceiling: { github, jwt: [{ audience: ORDERS, scopes: ['orders.read'] }] },
    attest: [{ attestor: 'actions', claims: { repository_id: '1', ref: `refs/heads/${ref}` } }],
  }
}

const configuration = {
  settings: {
    budgets: {
      owners: {
        default: { credentials_per_day: 1_000 },
        teams: {
          'team many': { active_tasks: 5 },
          'team quick': { credentials_per_hour: 7 },
          'team writing': { write_minutes_per_day: 130 },
        },
      },
      lineages: { credentials_per_day: 9, active_tasks: 3, children: 3 },
    },
  },
  agents: {
    many: agent('many'),
    more: { ...agent('more'), owner: { business: 'team many', technical: 'platform@acme.test' } },
    quick: agent('quick'),
    writing: agent('writing'),
    daily: agent('daily', { credentials_per_day: 2 }),
    own: agent('own', { write_minutes_per_day: 0 }),
  },
}

function budgets(): void {
  let postgres: TestPostgres
  let installation: Installation
  let database: string
  let servers: RunningServer[]
  let apis: Api[]
  let operator: string
  beforeAll(async () => {
    postgres = await startPostgres()
    const shared = await createSharedInstallation(postgres, configuration)
    ;({ installation, database } = shared)
    servers = await Promise.all([1, 2].map(() => startSharedBroker(installation)))
    apis = servers.map(server => createApi(server, installation))
    operator = await operatorTokenOf(servers[0]!)
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(server => server.stop()))
    await installation?.close()
    await postgres?.close()
  })

  /** The brokers in turn. */
  let turn = 0
  const api = (): Api => {
    turn += 1
    return apis[turn % 2]!
  }
  const evidence = async (ref: string) => {
    turn += 1
    const token = await installation.jobToken({
      ...{ ref: `refs/heads/${ref}`, run_id: `${turn}`, check_run_id: `${turn}` },
    })
    return { type: 'jwt' as const, token }
  }
  const tryOpen = async (ref: string, wanted: unknown[] = [], more: object = {}): Promise<Answer> =>
    api().call('POST', '/v1/tasks', undefined, {
      evidence: await evidence(ref),
      purpose: 'a test',
      authorization_details: wanted,
      ...more,
    })
  const opened = (answer: Answer): OpenedTask => {
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    const { task, task_token: token } = answer.body
    return { id: task.id, token, asks: task.asks.map((ask: { id: string }) => ask.id), answer }
  }
  const open = async (...of: Parameters<typeof tryOpen>) => opened(await tryOpen(...of))
  const spiffe = (path: string) => {
    turn += 1
    return {
      type: 'jwt',
      token: installation.spiffe.mintSvid({ sub: path, claims: { jti: `${turn}` } }),
    }
  }
  const statuses = (answers: readonly Answer[]) => {
    const counts: Record<string, number> = {}
    for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }
  const refusals = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 429)
  const usage = async (query: string, budget: string): Promise<number> => {
    const answer = await api().call('GET', `/v1/budgets?${query}`, operator)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    const all = answer.body.items.flatMap((item: { budgets: object[] }) => item.budgets)
    return all.findLast((one: { budget: string }) => one.budget === budget).used
  }
  const together = <T>(many: number, run: (n: number) => Promise<T>) =>
    Promise.all(Array.from({ length: many }, (_, n) => run(n)))

  test('active tasks of an owner: never more, whoever of its agents opens where; ends give back', async () => {
    const answers = await together(12, n => tryOpen(n % 3 === 0 ? 'more' : 'many'))
    expect(statuses(answers)).toEqual({ 201: 5, 429: 7 })
    for (const { body, headers } of refusals(answers)) {
      expect(body).toMatchObject({
        code: 'budget_exhausted',
        detail: 'active_tasks of owner team many: all 5 are active; the end of one frees it',
      })
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const tasks = answers.filter(({ status }) => status === 201).map(opened)
    await Promise.all(tasks.slice(0, 2).flatMap(task => [apis[0]!.complete(task), apis[1]!.complete(task)]))
    expect(statuses(await together(6, () => tryOpen('many')))).toEqual({ 201: 2, 429: 4 })
    expect(await usage('owner=team%20many', 'active_tasks')).toBeLessThanOrEqual(5)
  })

  test('credentials an hour of an owner: as many as there are, and anew in the next hour', async () => {
    const task = await open('quick', [asks.orders])
    const other = await open('quick', [asks.orders])
    const both = [task, other]
    // Of a lineage there are fewer than of both.
    const answers = await together(14, n => api().credential(both[n % 2]!))
    expect(statuses(answers)).toEqual({ 201: 7, 429: 7 })
    for (const { body, headers } of refusals(answers)) {
      expect(body.detail).toMatch(
        /^credentials_per_hour of owner team quick: all 7 were given; it begins anew at \d{4}-.*:00:00\.000Z$/,
      )
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(3_600)
    }
    const { body } = await api().call('GET', '/v1/budgets?agent=quick', operator)
    expect(body.items.map((item: object) => Object.keys(item)[0])).toEqual(['owner', 'agent'])
    expect(body.items[0]).toMatchObject({
      owner: 'team quick',
      budgets: [
        { budget: 'credentials_per_hour', limit: 7, used: 7 },
        { budget: 'credentials_per_day', limit: 1_000, used: 7, frees_at: expect.stringContaining('T00:00') },
      ],
    })
    installation.clock.advance(HOUR_MS)
    expect((await api().credential(await open('quick', [asks.orders]))).status).toBe(201)
  })

  test('an agent’s own day', async () => {
    const task = await open('daily', [asks.orders])
    const answers = await together(4, () => api().credential(task))
    expect(statuses(answers)).toEqual({ 201: 2, 429: 2 })
    expect(refusals(answers)[0]?.body.detail).toMatch(/^credentials_per_day of agent daily: all 2 were given/)
  })

  test('what the provider refuses gives back what it took', async () => {
    const task = await open('writing', [asks.api], { minutes: 10 })
    const before = await usage('agent=writing', 'credentials_per_hour')
    installation.github.changeInstallation(77, { repositories: [2] })
    expect((await api().credential(task)).body.code).toBe('provider_refused')
    installation.github.changeInstallation(77, { repositories: [1, 2] })
    expect(await usage('agent=writing', 'credentials_per_hour')).toBe(before)
    const { items } = (await api().call('GET', '/v1/budgets?owner=team%20writing', operator)).body
    expect(items[0].budgets.at(-1)).toMatchObject({ budget: 'write_minutes_per_day', limit: 130, used: 0 })
    await api().complete(task)
  })

  test('minutes in which something can be written: taken at the mint, given back by an early end', async () => {
    const writeMinutes = async () => {
      const { items } = (await api().call('GET', '/v1/budgets?owner=team%20writing', operator)).body
      return items[0].budgets.at(-1).used
    }
    const first = await open('writing', [asks.api, asks.apiRead], { minutes: 60 })
    const second = await open('writing', [asks.api], { minutes: 60 })
    // What reads costs nothing.
    expect((await api().credential(first, first.asks[1])).status).toBe(201)
    expect(await writeMinutes()).toBe(0)
    const answers = await together(6, n => api().credential(n % 2 === 0 ? first : second))
    expect(statuses(answers)).toEqual({ 201: 2, 429: 4 })
    expect(refusals(answers)[0]?.body.detail).toMatch(
      /^write_minutes_per_day of owner team writing: too little is left of 130; it begins anew at .*, and what ends early/,
    )
    expect(await writeMinutes()).toBe(120)
    await Promise.all([api().complete(first), api().complete(second)])
    // The seconds that the two were good for are gone for good: part of a minute, or none at all.
    const gone = await writeMinutes()
    expect(gone).toBeLessThanOrEqual(1)
    const third = await open('writing', [asks.api], { minutes: 60 })
    expect((await api().credential(third)).status).toBe(201)
    // Taken back by itself, while the task goes on.
    const { credential } = (await api().credential(third)).body
    // Each is good for a moment less than its hour: whether that makes up for what is gone is the machine's.
    expect([120, 120 + gone]).toContain(await writeMinutes())
    const revoked = await api().form(
      '/oauth/revoke',
      { token: credential },
      {
        authorization: `Bearer ${third.token}`,
      },
    )
    expect(revoked.status, JSON.stringify(revoked.body)).toBe(200)
    expect(await writeMinutes()).toBeLessThanOrEqual(gone + 61)
    await api().complete(third)
  })

  test('a credential of the provider’s hour costs an hour, however long the task may be', async () => {
    const task = await open('writing', [asks.api], { minutes: 120 })
    expect((await api().credential(task)).status).toBe(201)
    const { items } = (await api().call('GET', '/v1/budgets?owner=team%20writing', operator)).body
    expect(items[0].budgets.at(-1).used).toBeLessThanOrEqual(61)
    await api().complete(task)
  })

  test('what never fits is said to never fit', async () => {
    const answer = await api().credential(await open('own', [asks.api], { minutes: 5 }))
    expect(answer.status).toBe(429)
    expect(answer.body.detail).toMatch(
      /^write_minutes_per_day of agent own: there are 0, and a credential of \d+ minutes never fits/,
    )
    expect(answer.headers.get('retry-after')).toBeNull()
  })

  test('what may have been minted keeps its minutes', async () => {
    const task = await open('writing', [asks.api], { minutes: 30 })
    const read = async () =>
      (await api().call('GET', '/v1/budgets?owner=team%20writing', operator)).body.items[0].budgets.at(-1)
        .used
    const before = await read()
    const faults = installation.github.faults
    installation.github.faults = ({ when }) => (when === 'after' ? 'drop' : 'ok')
    const answer = await api().credential(task)
    installation.github.faults = faults
    expect(answer.status).toBe(503)
    expect(await read()).toBeGreaterThanOrEqual(before + 30)
    await api().complete(task)
    expect(await read()).toBeGreaterThanOrEqual(before + 30)
  })

  describe('a lineage', () => {
    const parent = async () => {
      const task = await api().open([asks.orders], { evidence: spiffe('/agent/coder') })
      const ticket = () =>
        api().call('POST', `/v1/tasks/${task.id}/tickets`, task.token, {
          ...{ agent: 'reviewer', minutes: 10, authorization_details: [asks.orders] },
        })
      return { task, ticket }
    }
    const redeem = (ticket: string) =>
      api().call('POST', '/v1/tasks', undefined, {
        evidence: spiffe('/agent/reviewer'),
        purpose: 'review',
        authorization_details: [asks.orders],
        ticket,
      })

    test('its credentials are counted together: a child is no way around', async () => {
      const { task, ticket } = await parent()
      const child = opened(await redeem((await ticket()).body.ticket))
      const answers = await together(16, n => api().credential(n % 2 === 0 ? task : child))
      expect(statuses(answers)).toEqual({ 201: 9, 429: 7 })
      expect(refusals(answers)[0]?.body.detail).toContain(`credentials_per_day of lineage ${task.id}: all 9`)
      expect(await usage(`task=${child.id}`, 'credentials_per_day')).toBe(9)
      const late = opened(await redeem((await ticket()).body.ticket))
      expect((await api().credential(late)).status).toBe(429)
    })

    test('so are its active tasks, and an end below gives one back', async () => {
      const { task, ticket } = await parent()
      const tickets = [await ticket(), await ticket(), await ticket()].map(({ body }) => body.ticket)
      const answers = await Promise.all(tickets.map(redeem))
      expect(statuses(answers)).toEqual({ 201: 2, 429: 1 })
      expect(refusals(answers)[0]?.body.detail).toContain(`active_tasks of lineage ${task.id}: all 3`)
      await api().complete(opened(answers.find(({ status }) => status === 201)!))
      const left = tickets[answers.findIndex(({ status }) => status === 429)]!
      expect((await redeem(left)).status).toBe(201)
      expect(await usage(`task=${task.id}`, 'active_tasks')).toBe(3)
      const fourth = await ticket()
      expect(fourth.status).toBe(429)
      expect(fourth.body.detail).toBe(`children of lineage ${task.id}: a task may open 3 tickets, and has`)
      await api().complete(task)
      expect(await usage(`task=${task.id}`, 'active_tasks')).toBe(0)
      // What counted a lineage does not stay for ever.
      const { ledger } = servers[0]!.broker
      const [row] = await ledger.read.budgets([`active_tasks/lineage/${task.id}`])
      expect(row?.until).toBeLessThan((await ledger.now()) + 26 * HOUR_MS)
    })
  })

  describe('held so that they overlap', () => {
    const opening = async (broker: Broker) =>
      openTask(broker, { evidence: await evidence('many'), purpose: 'a race', asks: [], mintFirst: false })
    const end = (broker: Broker, id: string) => endTask(broker, id, 'completed', { actor: 'broker' })
    const waiting = () => postgres.waiting(database)
    const code = (result: PromiseSettledResult<unknown>) =>
      result.status === 'fulfilled' ? 'done' : (result.reason as { code?: string }).code

    test('open × open on the last one: one of them. open × end: the place of the one that ends', async () => {
      const [a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
      for (const task of (await a.ledger.read.tasks({ state: 'active' }, { limit: 100 })).items)
        await end(a, task.id)
      const four = await together(4, () => opening(a))
      const last = await overlap([a, 'holdBudget', opening], () => opening(b), waiting, { unsent: true })
      // Counted with COMMIT: whoever is held before it keeps nobody waiting, and finds that it came second.
      expect([last.waited, code(last.first), code(last.second)]).toEqual([false, 'budget_exhausted', 'done'])
      const freed = await overlap(
        [a, 'cutHolds', broker => end(broker, four[0]!.task.id)],
        () => opening(b),
        waiting,
      )
      expect([freed.waited, code(freed.first), code(freed.second)]).toEqual([true, 'done', 'done'])
      const full = await opening(a).then(
        () => 'done',
        (error: { code?: string }) => error.code,
      )
      expect(full).toBe('budget_exhausted')
    })

    test('mint × end: the minutes that were meant for writing are there again, whoever was first', async () => {
      const [a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
      const api = {
        issuer: 'github',
        ask: { repositories: ['acme/api'], permissions: { contents: 'write' } },
      }
      const used = async () => {
        const { items } = (
          await createApi(servers[0]!, installation).call('GET', '/v1/budgets?owner=team%20writing', operator)
        ).body
        return items[0].budgets.at(-1).used as number
      }
      for (const isMintFirst of [true, false]) {
        const before = await used()
        const opened = await openTask(a, {
          ...{ evidence: await evidence('writing'), purpose: 'a race', asks: [api], mintFirst: false },
        })
        const { id } = opened.task
        const mint = (broker: Broker) => requestCredential(broker, opened.task, { ask: opened.asks[0]!.id })
        if (isMintFirst) await overlap([a, 'insertLease', mint], () => end(b, id), waiting)
        else await overlap([b, 'endTasks', broker => end(broker, id)], () => mint(a), waiting)
        while ((await a.ledger.read.task(id))?.state !== 'settled')
          await Promise.all(servers.map(server => server.look()))
        expect(await used()).toBeLessThanOrEqual(before + 1)
      }
    })
  })

  test('is shown to operators alone, page by page', async () => {
    expect((await api().call('GET', '/v1/budgets')).status).toBe(401)
    expect((await api().call('GET', '/v1/budgets?agent=nobody', operator)).status).toBe(404)
    expect((await api().call('GET', '/v1/budgets?task=x&agent=many', operator)).status).toBe(400)
    const seen: string[] = []
    let after = ''
    do {
      const { body } = await api().call('GET', `/v1/budgets?limit=2${after}`, operator)
      expect(body.items.length).toBeLessThanOrEqual(2)
      for (const item of body.items) seen.push(item.owner ?? item.agent)
      after = body.next === null ? '' : `&after=${encodeURIComponent(body.next)}`
    } while (after !== '')
    expect(seen).toEqual([
      ...['product@acme.test', 'team daily', 'team many', 'team own', 'team quick', 'team writing'],
      ...['coder', 'daily', 'many', 'more', 'own', 'quick', 'release', 'reviewer', 'writing'],
    ])
  })
}
