/** Two brokers on one PostgreSQL: each racing pair in both orders, held so that they overlap, and set free. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as DPoP from 'dpop'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { WorkEnd } from '../../issuers/shared/work.ts'
import { nextNonce, readProof, useProof } from '../../src/broker/bound/held-keys.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import { reassess } from '../../src/broker/decisions/reassess.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { endWork } from '../../src/broker/tasks/end-work.ts'
import { extendTask } from '../../src/broker/tasks/extend-task.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import { openTicket } from '../../src/broker/tasks/open-ticket.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { LedgerUnavailable } from '../../src/store/ledger.ts'
import { openPostgresLedger } from '../../src/store/postgres.ts'
import type { PostgresAddress } from '../../src/store/postgres-address.ts'
import { createInstallation, edgeFor, type Installation, ORDERS } from '../fakes/installation.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { registerAgents } from '../support/register-agents.ts'
import { until } from '../support/until.ts'

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'two brokers on one ledger', races)

const times = 6
const orders = { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } }
const api = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'read' } } }

function races(): void {
  let postgres: TestPostgres
  let installation: Installation
  let address: PostgresAddress
  let servers: RunningServer[]
  let a: Broker
  let b: Broker
  beforeAll(async () => {
    postgres = await startPostgres()
    address = await postgres.createDatabase()
    installation = await createInstallation(await sharedSettings(address))
    const key = join(installation.directory, 'data', 'kek')
    await mkdir(dirname(key))
    await writeFile(key, 'a7'.repeat(32), { mode: 0o600 })
    servers = await Promise.all([1, 2].map(() => startShared(installation)))
    ;[a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(running => running.stop()))
    await installation?.close()
    await postgres?.close()
  })

  const waiting = () => postgres.waiting(address.database)
  let run = 0
  /** Each of a run of its own: openings from one run wait for each other. */
  const job = async (claims?: Record<string, unknown>) => {
    run += 1
    const token = await installation.jobToken({ run_id: `${run}`, check_run_id: `${run}`, ...claims })
    return { type: 'jwt' as const, token }
  }
  const spiffe = (path: string) => {
    run += 1
    return {
      type: 'jwt' as const,
      token: installation.spiffe.mintSvid({ sub: path, claims: { jti: `${run}` } }),
    }
  }
  const open = async (broker: Broker, over: Partial<Parameters<typeof openTask>[1]> = {}) =>
    openTask(broker, {
      evidence: await job(),
      purpose: 'a race',
      asks: [orders, api],
      mintFirst: false,
      ...over,
    })
  const end = (broker: Broker, { task }: OpenedTask) =>
    endTask(broker, task.id, 'completed', { actor: 'broker' })
  const mint = (broker: Broker, { task, asks }: OpenedTask, index: number) =>
    requestCredential(broker, task, { ask: asks[index]!.id })
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : (result.reason as { code?: string }).code

  /** What a task may never hold once it has ended. */
  async function expectNothingLive(task: string): Promise<void> {
    expect((await a.ledger.read.task(task))?.state).not.toBe('active')
    const { items } = await a.ledger.read.leases({ task }, { limit: 100 })
    expect(items.filter(lease => lease.state === 'intended' || lease.state === 'active')).toEqual([])
  }

  describe.each([
    ['a local signature', 0, 'insertLease'],
    ['a remote mint, at its intent', 1, 'insertLease'],
    ['a remote mint, at its answer', 1, 'activateLease'],
  ] as const)('end × mint: %s', (_, ask, at) => {
    test('the mint first: it is done, and revoked by the end', async () => {
      const opened = await open(a)
      const { first, second, waited } = await overlap(
        [a, at, broker => mint(broker, opened, ask)],
        () => end(b, opened),
        waiting,
      )
      expect(waited).toBe(true)
      expect(second.status).toBe('fulfilled')
      // Between the two commits of a remote mint the end may come, and then nothing is answered.
      const betweenCommits = at === 'insertLease' && ask === 1
      expect(betweenCommits ? ['done', 'task_not_active'] : ['done']).toContain(code(first))
      await expectNothingLive(opened.task.id)
    })

    test('the end first: nothing is minted', async () => {
      const opened = await open(a)
      const { first, second, waited } = await overlap(
        [a, 'endTasks', broker => end(broker, opened)],
        () => mint(b, opened, ask),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'task_not_active'])
      expect((await a.ledger.read.leases({ task: opened.task.id }, { limit: 9 })).items).toEqual([])
      await expectNothingLive(opened.task.id)
    })

    test('set free', async () => {
      for (let time = 0; time < times; time += 1) {
        const opened = await open(a)
        await Promise.allSettled([mint(a, opened, ask), end(b, opened)])
        await expectNothingLive(opened.task.id)
      }
    })
  })

  describe('end × child-open', () => {
    const parentWithTicket = async () => {
      const parent = await open(a, { evidence: spiffe('/agent/coder') })
      const request = { agent: 'reviewer', asks: [orders], minutes: 10 }
      return { parent, ticket: (await openTicket(a, parent.task, request)).token }
    }
    const redeem = (broker: Broker, ticket: Secret) =>
      open(broker, { evidence: spiffe('/agent/reviewer'), asks: [orders], ticket, mintFirst: true })
    const childrenOf = (parent: OpenedTask) =>
      postgres.query<{ id: string; state: string }>(
        `select id, state from tasks where parent = '${parent.task.id}'`,
        address.database,
      )

    test('the child first: it ends with its parent, and what it was given with it', async () => {
      const { parent, ticket } = await parentWithTicket()
      const { first, second, waited } = await overlap(
        [a, 'insertTask', broker => redeem(broker, ticket)],
        () => end(b, parent),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
      const [child] = await childrenOf(parent)
      await expectNothingLive(child!.id)
    })

    test('the end first: no child', async () => {
      const { parent, ticket } = await parentWithTicket()
      const { first, second, waited } = await overlap(
        [a, 'endTasks', broker => end(broker, parent)],
        () => redeem(b, ticket),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'task_not_active'])
      expect(await childrenOf(parent)).toEqual([])
    })

    test('set free', async () => {
      for (let time = 0; time < times; time += 1) {
        const { parent, ticket } = await parentWithTicket()
        await Promise.allSettled([redeem(a, ticket), end(b, parent)])
        for (const { id } of await childrenOf(parent)) await expectNothingLive(id)
      }
    })

    test('ticket × ticket: one child, whoever redeems it first', async () => {
      for (let time = 0; time < times; time += 1) {
        const { parent, ticket } = await parentWithTicket()
        const { first, second, waited } = await overlap(
          [a, 'redeemTicket', broker => redeem(broker, ticket)],
          () => redeem(b, ticket),
          waiting,
        )
        expect([waited, code(first), code(second)]).toEqual([true, 'done', 'ticket_rejected'])
        expect(await childrenOf(parent)).toHaveLength(1)
        await end(a, parent)
      }
    })
  })

  describe('an agent taken away × open', () => {
    const without = (broker: Broker): Broker => {
      const agents = new Map([...broker.agents()].filter(([name]) => name !== 'release'))
      return { ...broker, agents: () => agents }
    }
    const takeAway = async (broker: Broker) => {
      const judged = without(broker)
      await registerAgents(judged, judged.agents())
      await reassess(judged)
    }
    const active = async () =>
      (await a.ledger.read.tasks({ agent: 'release', state: 'active' }, { limit: 9 })).items
    const putBack = () => registerAgents(a, a.agents())

    test('the task first: it is ended', async () => {
      const { first, second, waited } = await overlap(
        [a, 'insertTask', broker => open(broker, { mintFirst: true })],
        () => takeAway(b),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
      expect(await active()).toEqual([])
      await putBack()
    })

    test('the agent first: no task', async () => {
      const { first, second, waited } = await overlap(
        [a, 'putAgent', broker => takeAway(broker)],
        () => open(b),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'task_not_active'])
      expect(await active()).toEqual([])
      await putBack()
    })

    test('set free', async () => {
      for (let time = 0; time < times; time += 1) {
        await Promise.allSettled([open(a), takeAway(b)])
        expect(await active()).toEqual([])
        await putBack()
      }
    })
  })

  describe('the end of a job × open', () => {
    /** A job that is yet to open anything, and the notice that it is over. */
    const newJob = async () => {
      const sibling = await open(a)
      const work = JSON.parse((await a.ledger.read.taskWork(sibling.task.id))!.work)
      await end(a, sibling)
      run += 1
      const notice: WorkEnd = { ...work, run: `${run}`, job: `${run}`, outcome: 'failed', said: 'failure' }
      return { claims: { run_id: `${run}`, check_run_id: `${run}` }, notice }
    }
    const told = (broker: Broker, notice: WorkEnd) => endWork(broker, notice, 'github-webhook')

    test('the task first: it ends with its job', async () => {
      const { claims, notice } = await newJob()
      const evidence = await job(claims)
      const { first, second, waited } = await overlap(
        [a, 'bindTask', broker => open(broker, { evidence })],
        () => told(b, notice),
        waiting,
      )
      expect([waited, code(first), second]).toEqual([true, 'done', { status: 'fulfilled', value: 1 }])
      await expectNothingLive((first as PromiseFulfilledResult<OpenedTask>).value.task.id)
    })

    test('the end first: its evidence is late', async () => {
      const { claims, notice } = await newJob()
      const evidence = await job(claims)
      const { first, second, waited } = await overlap(
        [a, 'endWork', broker => told(broker, notice)],
        () => open(b, { evidence }),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'evidence_rejected'])
    })

    test('told twice at once, it ends once', async () => {
      const { claims, notice } = await newJob()
      await open(a, { evidence: await job(claims) })
      const { first, second, waited } = await overlap(
        [a, 'endWork', broker => told(broker, notice)],
        () => told(b, notice),
        waiting,
      )
      expect(waited).toBe(true)
      const ended = [first, second].map(result =>
        result.status === 'fulfilled' ? result.value : result.reason,
      )
      expect(ended).toEqual([1, 0])
    })
  })

  test('a DPoP proof counts once for both, and each knows the nonces of the other', async () => {
    const keys = await DPoP.generateKeyPair('ES256')
    const url = 'https://mayfly.test/v1/tasks'
    for (let time = 0; time < times; time += 1) {
      const proof = await DPoP.generateProof(keys, url, 'POST', nextNonce(b))
      const prove = async (broker: Broker) => {
        const shown = await readProof(broker, proof, { method: 'POST', url })
        await useProof(broker, shown!)
      }
      const outcomes = await Promise.allSettled([prove(a), prove(b), prove(a), prove(b)])
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    }
  })

  test('evidence × evidence: one task', async () => {
    for (let time = 0; time < times; time += 1) {
      const evidence = await job()
      const { first, second, waited } = await overlap(
        [a, 'useEvidence', broker => open(broker, { evidence })],
        () => open(b, { evidence }),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'evidence_rejected'])
    }
  })

  test('budget × budget: no more than the limit', async () => {
    const opening = async (broker: Broker) =>
      open(broker, { evidence: await job({ ref: 'refs/heads/single' }) })
    for (let time = 0; time < times; time += 1) {
      // Counted with COMMIT: whoever is held before it keeps nobody waiting, and finds that it came second.
      const { first, second, waited } = await overlap([a, 'takeBudget', opening], () => opening(b), waiting, {
        unsent: true,
      })
      expect([waited, code(first), code(second)]).toEqual([false, 'budget_exhausted', 'done'])
      await end(b, (second as PromiseFulfilledResult<OpenedTask>).value)
    }
  })

  test('budget × budget, both at their COMMIT: one waits for the other, and finds nothing left', async () => {
    const opening = async (broker: Broker) =>
      open(broker, { evidence: await job({ ref: 'refs/heads/single' }) })
    const holder = await postgres.session(address.database)
    try {
      for (let time = 0; time < times; time += 1) {
        await holder.query('begin; select 1 from budgets for update')
        const both = Promise.allSettled([opening(a), opening(b)])
        await until(async () => (await waiting()) === 2)
        await holder.query('commit')
        const results = await both
        expect(results.map(code).sort()).toEqual(['budget_exhausted', 'done'])
        for (const result of results) if (result.status === 'fulfilled') await end(a, result.value)
      }
    } finally {
      await holder.end()
    }
  })

  test('extend × end: an ended task is not extended', async () => {
    const extend = (broker: Broker, { task }: OpenedTask) =>
      extendTask(broker, task, { minutes: 50, reason: 'slow' })
    const opened = await open(a)
    const lost = await overlap(
      [a, 'endTasks', broker => end(broker, opened)],
      () => extend(b, opened),
      waiting,
    )
    expect([lost.waited, code(lost.first), code(lost.second)]).toEqual([true, 'done', 'task_not_active'])
    const other = await open(b)
    const won = await overlap(
      [a, 'extendTask', broker => extend(broker, other)],
      () => end(b, other),
      waiting,
    )
    expect([won.waited, code(won.first), code(won.second)]).toEqual([true, 'done', 'done'])
    await expectNothingLive(other.task.id)
  })

  test('reaper × reaper: every credential dies by one of them, once', async () => {
    const opened = await Promise.all(Array.from({ length: 12 }, (_, n) => open(n % 2 === 0 ? a : b)))
    await Promise.all(opened.map((task, n) => mint(n % 2 === 0 ? b : a, task, 1)))
    await Promise.all(opened.map((task, n) => end(n % 2 === 0 ? a : b, task)))
    const settled = async () =>
      (await Promise.all(opened.map(({ task }) => a.ledger.read.task(task.id)))).every(
        task => task?.state === 'settled',
      )
    while (!(await settled())) await Promise.all(servers.map(running => running.look()))
    const leases = await Promise.all(
      opened.map(({ task }) => a.ledger.read.leases({ task: task.id }, { limit: 9 })),
    )
    // A second revocation of the same credential would find it already gone.
    expect(new Set(leases.flatMap(page => page.items.map(lease => lease.closed_as)))).toEqual(
      new Set(['revoked']),
    )
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('the audit is whole and in order, though nobody sequences it', async () => {
    const opened = await Promise.all(Array.from({ length: 20 }, (_, n) => open(n % 2 === 0 ? a : b)))
    await Promise.all(opened.map((task, n) => end(n % 2 === 0 ? b : a, task)))
    for (const { task } of opened) {
      const { items } = await a.ledger.read.audit({ task: task.id }, { limit: 20 })
      const events = items.map(row => row.event).filter(event => event.startsWith('task.'))
      expect(events).toEqual(['task.opened', 'task.ended', 'task.settled'])
      expect(items.every((row, n) => n === 0 || row.seq > items[n - 1]!.seq)).toBe(true)
    }
  })

  test('a third broker, on the database’s own clock, goes on with what the first began', async () => {
    const third = await startServer(installation.configPath, edgeFor(installation))
    const opened = await open(a)
    const credential = await mint(third.broker, opened, 1)
    await end(third.broker, opened)
    await third.look()
    await third.stop()
    expect((await a.ledger.read.lease(credential.lease))?.closed_as).toBe('revoked')
  })

  test('a restart of the database is an outage to both, and costs nothing that was promised', async () => {
    const opened = await open(a)
    const credential = await mint(a, opened, 1)
    await postgres.stop()
    await expect(end(b, opened)).rejects.toThrow(LedgerUnavailable)
    await expect(open(a)).rejects.toThrow(LedgerUnavailable)
    await postgres.start()
    await end(b, opened)
    while ((await a.ledger.read.lease(credential.lease))?.state !== 'closed')
      await Promise.all(servers.map(running => running.look()))
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  describe('the key of a shared ledger', () => {
    const startWith = async (kek: string | undefined) => {
      run += 1
      const kek_file = join(installation.directory, `kek-${run}`)
      if (kek !== undefined) await writeFile(kek_file, kek, { mode: 0o600 })
      const { settings } = await sharedSettings(address)
      await installation.configure({ settings: { ...settings, kek_file } })
      return startShared(installation).then(
        () => expect.unreachable(),
        (error: Error) => error.message,
      )
    }

    test('is the one it was created with, and never made anew', async () => {
      expect(await startWith(undefined)).toMatch(/this ledger needs the one it is sealed under/)
      expect(await startWith('b8'.repeat(32))).toMatch(/does not open this ledger/)
    })

    test('is made by hand for an empty one, and the refusal says how', async () => {
      const { database } = address
      address = await postgres.createDatabase()
      expect(await startWith(undefined)).toMatch(/\(umask 077; openssl rand -hex 32 > .*kek-/)
      address = { ...address, database }
    })

    test('as the URL with the password, is its owner’s alone', async () => {
      const { settings } = await sharedSettings(address)
      await chmod(settings.ledger.url_file, 0o644)
      await installation.configure({ settings })
      await expect(startShared(installation)).rejects.toThrow(/others can read it. Run: chmod 600/)
    })
  })

  test('what one broker signs the other publishes, and verifies', async () => {
    const keys = await Promise.all(
      servers.map(async ({ url }) => (await fetch(`${url}/.well-known/jwks.json`)).json()),
    )
    expect(keys[0]).toEqual(keys[1])
  })
}

async function sharedSettings({ host, user, password, database }: PostgresAddress) {
  const url = `postgres://${user}:${password}@localhost/${database}?host=${host}`
  const file = join(dirname(host), 'ledger-url')
  await writeFile(file, url)
  await chmod(file, 0o600)
  const single = {
    purpose: 'Holds one task at a time',
    risk_tier: 'low',
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    systems: ['api'],
    expires_at: '2040-01-01T00:00:00Z',
    limits: { task_minutes: 60, active_tasks: 1, credentials_per_hour: 100 },
    ceiling: {
      jwt: [{ audience: ORDERS, scopes: ['orders.read'] }],
      github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }],
    },
    attest: [
      { attestor: 'actions', claims: { repository_id: '1', ref: 'refs/heads/single', event_name: 'push' } },
    ],
  }
  return { settings: { ledger: { type: 'postgres', url_file: file } }, agents: { single } }
}

/** On the installation's clock, as everything that plays a part in its tests. */
function startShared(installation: Installation): Promise<RunningServer> {
  const { now } = installation.clock
  return startServer(installation.configPath, {
    ...edgeFor(installation),
    openSharedLedger: options => openPostgresLedger({ ...options, now }),
  })
}
