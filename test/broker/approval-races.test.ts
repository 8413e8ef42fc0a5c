/** Two brokers on one PostgreSQL: of answers, expiry and end that meet exactly one counts, and so does each mint. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { changeStanding } from '../../src/broker/agents/agent-standing.ts'
import type { StandingVerb } from '../../src/broker/agents/agent-transitions.ts'
import { approve, deny } from '../../src/broker/approvals/answer-approval.ts'
import { expireApprovals } from '../../src/broker/approvals/end-approvals.ts'
import { openPreapproval, planPreapproval } from '../../src/broker/approvals/preapprovals.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import type { Operator } from '../../src/broker/people/operators.ts'
import { checkIn, endUnattended } from '../../src/broker/tasks/check-in.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Installation } from '../fakes/installation.ts'
import { type AskingPolicy, askingPolicy, requirement } from '../support/asking-policy.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'

const wanted = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } }

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'approvals on two brokers', races)

function races(): void {
  let postgres: TestPostgres
  let installation: Installation
  let database: string
  let servers: RunningServer[]
  let a: Broker
  let b: Broker
  let policy: AskingPolicy
  beforeAll(async () => {
    postgres = await startPostgres()
    ;({ installation, database } = await createSharedInstallation(postgres))
    const reviewer = { ...installation.agents.reviewer!, check_in_minutes: 10 }
    await installation.configure({
      agents: { reviewer },
      settings: { ledger: { type: 'postgres', url_file: 'ledger-url' }, kek_file: 'kek' },
    })
    servers = await Promise.all([startSharedBroker(installation), startSharedBroker(installation)])
    ;[a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(running => running.stop()))
    await installation?.close()
    await postgres?.close()
  })
  beforeEach(() => {
    policy = askingPolicy()
    for (const broker of [a, b]) broker.policy = policy
  })

  const waiting = () => postgres.waiting(database)
  const human = (name: string): Operator => ({
    ...{ id: `https://people.test#${name}`, name, groups: ['approvers'], kind: 'human', fresh: true },
  })
  let run = 0
  const open = async (broker: Broker = a, mints = 1): Promise<OpenedTask & { approval: string }> => {
    run += 1
    const token = await installation.jobToken({ run_id: `${run}`, check_run_id: `${run}` })
    const evidence = { type: 'jwt' as const, token }
    const opened = await openTask(broker, {
      ...{ evidence, purpose: 'a race', asks: [wanted], mintFirst: false, wish: { mints } },
    })
    const approval = await broker.ledger.read.approvalOf(opened.asks[0]!.id)
    return { ...opened, approval: approval!.id }
  }
  const mint = (broker: Broker, { task, asks }: OpenedTask) =>
    requestCredential(broker, task, { ask: asks[0]!.id })
  const yes = (broker: Broker, { approval }: { approval: string }, name = 'ada') =>
    approve(broker, human(name), approval, null)
  const no = (broker: Broker, { approval }: { approval: string }) =>
    deny(broker, human('bob'), approval, 'no')
  const end = (broker: Broker, { task }: OpenedTask) =>
    endTask(broker, task.id, 'completed', { actor: 'test' })
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : ((result.reason as { code?: string }).code ?? result.reason)

  /** What stands is one answer, and the ask says the same. */
  async function expectOne(opened: OpenedTask & { approval: string }, states: string[]): Promise<string> {
    const row = await a.ledger.read.approval(opened.approval)
    const ask = await a.ledger.read.ask(opened.asks[0]!.id)
    expect(states).toContain(row?.state)
    expect(ask?.state).toBe(row?.state === 'approved' ? 'granted' : row?.state)
    const { items } = await a.ledger.read.audit({ task: opened.task.id }, { limit: 100 })
    const closings = items.filter(({ event }) =>
      ['approval.approved', 'approval.denied', 'approval.expired', 'approval.cancelled'].includes(event),
    )
    expect(closings).toHaveLength(1)
    return row!.state
  }

  test('approve first, deny waits and is too late', async () => {
    const opened = await open()
    const { first, second, waited } = await overlap(
      [a, 'answerApproval', broker => yes(broker, opened)],
      () => no(b, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'approval_over'])
    await expectOne(opened, ['approved'])
  })

  test('deny first, approve waits and is too late', async () => {
    const opened = await open()
    const { first, second, waited } = await overlap(
      [a, 'answerApproval', broker => no(broker, opened)],
      () => yes(b, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'approval_over'])
    await expectOne(opened, ['denied'])
  })

  test('the end first: approve waits and is too late; nothing is minted', async () => {
    const opened = await open()
    const { first, second, waited } = await overlap(
      [a, 'cancelApprovals', broker => end(broker, opened)],
      () => yes(b, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'approval_over'])
    await expectOne(opened, ['cancelled'])
  })

  test('approve first: the end waits, and what was given mints nothing any more', async () => {
    const opened = await open()
    const { first, second, waited } = await overlap(
      [a, 'answerApproval', broker => yes(broker, opened)],
      () => end(b, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
    await expectOne(opened, ['approved'])
    expect(code((await Promise.allSettled([mint(a, opened)]))[0]!)).toBe('task_not_active')
  })

  test('two humans at once are two: the approval is given, whoever commits first', async () => {
    policy.requires = [requirement({ quorum: 2 })]
    const opened = await open()
    const { first, second, waited } = await overlap(
      [a, 'insertVote', broker => yes(broker, opened, 'ada')],
      () => yes(b, opened, 'bob'),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
    await expectOne(opened, ['approved'])
  })

  test('one human at once on two brokers is one', async () => {
    policy.requires = [requirement({ quorum: 2 })]
    const opened = await open()
    const twice = await Promise.allSettled([yes(a, opened), yes(b, opened)])
    expect(twice.map(code).sort()).toEqual(['approved_already', 'done'])
    expect((await a.ledger.read.approval(opened.approval))?.state).toBe('pending')
  })

  test('the mint of one broker waits for that of the other, and finds it used up', async () => {
    const opened = await open()
    await yes(a, opened)
    const { first, second, waited } = await overlap(
      [a, 'spendApproval', broker => mint(broker, opened)],
      () => mint(b, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'approval_over'])
    expect((await a.ledger.read.leases({ task: opened.task.id }, { limit: 9 })).items).toHaveLength(1)
  })

  test('drift that both notice asks once', async () => {
    const opened = await open()
    await yes(a, opened)
    policy.version = 'two'
    const both = await Promise.allSettled([mint(a, opened), mint(b, opened)])
    expect(both.map(code)).toEqual(['approval_pending', 'approval_pending'])
    const { items } = await a.ledger.read.approvals({ task: opened.task.id }, { limit: 9 })
    expect(items.map(row => row.state).sort()).toEqual(['cancelled', 'pending'])
  })

  test('a window that is good once is used once by asks on two brokers', async () => {
    const order = { agent: 'release', wanted, minutes: 10, uses: 1, reason: 'the release' }
    await openPreapproval(a, human('ada'), await planPreapproval(a, order))
    const opened = await Promise.all([open(a), open(b), open(a), open(b)])
    const states = await Promise.all(
      opened.map(async ({ approval }) => (await a.ledger.read.approval(approval))!.state),
    )
    expect(states.sort()).toEqual(['approved', 'pending', 'pending', 'pending'])
  })

  const quarantine = (broker: Broker, verb: StandingVerb = 'quarantine') =>
    changeStanding(
      broker,
      { agent: 'release', verb, reason: 'a race', cause: 'operator', mayWiden: verb === 'activate' },
      'operator:test',
    )
  const nothingMinted = async ({ task }: OpenedTask) =>
    expect((await a.ledger.read.leases({ task: task.id }, { limit: 9 })).items).toEqual([])

  test('approve first, quarantine after it: what was agreed to mints nothing', async () => {
    const opened = await open()
    const { first, second } = await overlap(
      [a, 'answerApproval', broker => yes(broker, opened)],
      () => quarantine(b),
      waiting,
    )
    expect([code(first), code(second)]).toEqual(['done', 'done'])
    expect(code((await Promise.allSettled([mint(b, opened)]))[0]!)).toMatch(/agent_quarantined|ask_denied/)
    await nothingMinted(opened)
    await quarantine(a, 'activate')
  })

  test('quarantine first: whoever agrees before what waits is cancelled agrees to nothing', async () => {
    const opened = await open()
    const { first, second } = await overlap(
      [a, 'withdrawApproval', broker => quarantine(broker)],
      () => yes(b, opened),
      waiting,
    )
    expect([code(first), code(second)]).toEqual(['done', 'approval_over'])
    await expectOne(opened, ['cancelled'])
    await quarantine(a, 'activate')
    expect(code((await Promise.allSettled([mint(b, opened)]))[0]!)).toBe('approval_over')
    await nothingMinted(opened)
  })

  test('approve × a change of policy: what was agreed to under the other set mints nothing', async () => {
    const opened = await open()
    const { first, second } = await overlap(
      [a, 'answerApproval', broker => yes(broker, opened)],
      async () => {
        policy.version = 'two'
        return mint(b, opened)
      },
      waiting,
    )
    expect([code(first), code(second)]).toEqual(['done', 'approval_pending'])
    expect(code((await Promise.allSettled([mint(b, opened)]))[0]!)).toBe('approval_pending')
    expect((await a.ledger.read.approval(opened.approval))?.state).toBe('cancelled')
    await nothingMinted(opened)
  })

  test('a change of policy × approve: what is shown is not what would be minted, and humans are asked anew', async () => {
    const opened = await open()
    policy.version = 'two'
    expect((await Promise.allSettled([yes(a, opened), yes(b, opened, 'bob')])).map(code)).toEqual([
      'approval_over',
      'approval_over',
    ])
    const { items } = await a.ledger.read.approvals({ task: opened.task.id }, { limit: 9 })
    expect(items.map(row => row.state).sort()).toEqual(['cancelled', 'pending'])
  })

  // Regression: whoever checked in between the look and the end was not heard.
  describe('check-in × lapse', () => {
    const attended = async () => {
      const evidence = { type: 'jwt' as const, token: installation.svid('/agent/reviewer') }
      const opened = await openTask(a, {
        ...{ evidence, purpose: 'a race', asks: [], mintFirst: false, minutes: 60 },
      })
      installation.clock.advance(11 * 60_000)
      return opened.task.id
    }
    const state = async (id: string) => (await a.ledger.read.task(id))?.state

    test('the check-in first: the task goes on', async () => {
      const id = await attended()
      const { first, second, waited } = await overlap(
        [a, 'noteCheckIn', broker => checkIn(broker, 'operator:ada', id)],
        () => endUnattended(b),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
      expect(await state(id)).toBe('active')
      installation.clock.advance(11 * 60_000)
      await endUnattended(b)
      expect(await state(id)).not.toBe('active')
    })

    test('the lapse first: the check-in is too late', async () => {
      const id = await attended()
      const { first, second, waited } = await overlap(
        [a, 'endTasks', endUnattended],
        () => checkIn(b, 'operator:ada', id),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'task_not_active'])
      expect(await state(id)).not.toBe('active')
    })
  })

  test('set free: approve, deny, expire and end, all at once', async () => {
    const seen = new Set<string>()
    for (let time = 0; time < 8; time += 1) {
      const opened = await open()
      installation.clock.advance(time % 2 === 0 ? 0 : a.limits.approvalMs)
      await Promise.allSettled([
        yes(a, opened),
        no(b, opened),
        expireApprovals(time % 3 === 0 ? a : b),
        time % 4 === 3 ? end(b, opened) : undefined,
      ])
      await expireApprovals(a)
      seen.add(await expectOne(opened, ['approved', 'denied', 'expired', 'cancelled']))
    }
    expect(seen.size).toBeGreaterThan(1)
  })
}
