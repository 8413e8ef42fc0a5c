/** Two brokers on one PostgreSQL: a mint or an opening while its agent is suspended or quarantined. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { certifyAgent, holdEvidenceToBuild } from '../../src/broker/agents/agent-certification.ts'
import { changeStanding } from '../../src/broker/agents/agent-standing.ts'
import type { StandingVerb } from '../../src/broker/agents/agent-transitions.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Installation } from '../fakes/installation.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'

const times = 6
const soon = { timeout: 15_000, interval: 5 }
const write = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } }
const read = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'read' } } }

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'an agent that is stopped on another broker', races)

function races(): void {
  let postgres: TestPostgres
  let installation: Installation
  let database: string
  let servers: RunningServer[]
  let a: Broker
  let b: Broker
  beforeAll(async () => {
    postgres = await startPostgres()
    const shared = await createSharedInstallation(postgres, {
      settings: { life_cycle: { build_claim: 'build_digest' } },
    })
    installation = shared.installation
    database = shared.database
    servers = [await startSharedBroker(installation), await startSharedBroker(installation)]
    ;[a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(running => running.stop()))
    await installation?.close()
    await postgres?.close()
  })

  const waiting = () => postgres.waiting(database)
  let run = 0
  const open = async (broker: Broker) => {
    run += 1
    const token = await installation.jobToken({ run_id: `${run}`, check_run_id: `${run}` })
    const evidence = { type: 'jwt' as const, token }
    return openTask(broker, { evidence, purpose: 'a race', asks: [write, read], mintFirst: false })
  }
  const mint = (broker: Broker, { task, asks }: OpenedTask, index = 0) =>
    requestCredential(broker, task, { ask: asks[index]!.id })
  const change = (broker: Broker, verb: StandingVerb) =>
    changeStanding(
      broker,
      { agent: 'release', verb, reason: 'a race', cause: 'operator', mayWiden: verb === 'activate' },
      'operator:test',
    )
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : (result.reason as { code?: string }).code

  const live = async () => {
    const leases = await a.ledger.read.leases({ agent: 'release', state: 'outstanding' }, { limit: 100 })
    return leases.items.filter(row => row.state !== 'revoking')
  }
  const activeTasks = async () =>
    (await a.ledger.read.tasks({ agent: 'release', state: 'active' }, { limit: 100 })).items
  /** Either broker may carry a stop out: the one that ordered it may be answered before the other is done. */
  const expectAllEnded = () =>
    expect.poll(async () => [await live(), await activeTasks()], soon).toEqual([[], []])

  test('the mint first: a suspension waits for it, and takes it back', async () => {
    const opened = await open(a)
    const { first, second, waited } = await overlap(
      [a, 'insertLease', broker => mint(broker, opened)],
      () => change(b, 'suspend'),
      waiting,
    )
    expect([waited, code(second)]).toEqual([true, 'done'])
    expect(['done', 'task_not_active', 'configuration_stale']).toContain(code(first))
    await expectAllEnded()
    await change(a, 'activate')
  })

  test('the opening first: a suspension waits for it, and ends it', async () => {
    const { first, second, waited } = await overlap(
      [a, 'insertTask', open],
      () => change(b, 'suspend'),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
    await expectAllEnded()
    await change(a, 'activate')
  })

  test('a suspension waits for no opening that is about to commit, which then finds that it came second', async () => {
    // What an agent is told from memory, so that its lock goes with COMMIT.
    await open(a)
    const { first, second, waited } = await overlap(
      [a, 'insertTask', open],
      () => change(b, 'suspend'),
      waiting,
      { unsent: true },
    )
    expect([waited, code(first), code(second)]).toEqual([false, 'agent_not_active', 'done'])
    await expectAllEnded()
    await change(a, 'activate')
  })

  test('the suspension first: the opening waits for it, and is refused', async () => {
    const { first, second, waited } = await overlap(
      [b, 'moveAgent', broker => change(broker, 'suspend')],
      () => open(a),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'agent_not_active'])
    await change(a, 'activate')
  })

  test('the mint first: a quarantine takes the write back, and leaves the read', async () => {
    const opened = await open(a)
    await mint(a, opened, 1)
    const { second, waited } = await overlap(
      [a, 'insertLease', broker => mint(broker, opened)],
      () => change(b, 'quarantine'),
      waiting,
    )
    expect([waited, code(second)]).toEqual([true, 'done'])
    await expect.poll(async () => (await live()).map(row => row.phase), soon).toEqual(['read'])
    expect((await activeTasks()).map(row => row.id)).toEqual([opened.task.id])
    await change(a, 'activate')
  })

  test('the quarantine first: a write waits for it, and is refused; a read is not', async () => {
    const opened = await open(a)
    const { first, second, waited } = await overlap(
      [b, 'moveAgent', broker => change(broker, 'quarantine')],
      () => mint(a, opened),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'agent_quarantined'])
    expect(code((await Promise.allSettled([mint(a, opened, 1)]))[0]!)).toBe('done')
    await change(a, 'activate')
  })

  test('two changes at once: one of them finds the other', async () => {
    const both = await Promise.allSettled([change(a, 'suspend'), change(b, 'offboard')])
    const { standing } = (await a.ledger.read.agent('release'))!
    expect(standing === 'suspended' || standing === 'offboarding').toBe(true)
    expect(both.some(result => result.status === 'fulfilled')).toBe(true)
    // Nothing leads back from there, so the rest goes on as another agent's row would: put back by hand.
    await a.ledger.write(tx =>
      tx.moveAgent('release', standing, {
        ...{ standing: 'active', standing_cause: null, standing_reason: null },
        ...{ standing_by: null, standing_run: null },
      }),
    )
  })

  describe('certify × evidence of another build', () => {
    const digest = (of: string) => `sha256:${of.repeat(64)}`
    const certify = (broker: Broker, of: string) => {
      const until = installation.clock.now() + 1_000_000
      return certifyAgent(broker, { agent: 'reviewer', build: digest(of), until, reason: 'seen' }, 'olga')
    }
    const evidence = (broker: Broker, of: string) => {
      const claims = { build_digest: digest(of) }
      return holdEvidenceToBuild(broker, broker.agents().get('reviewer')!, { claims })
    }
    const standing = async () => (await a.ledger.read.agent('reviewer'))?.standing

    test('the certification first: what it is evidence of is vouched for by now', async () => {
      await certify(a, 'a')
      const { first, second, waited } = await overlap(
        [a, 'certifyAgent', broker => certify(broker, 'b')],
        () => evidence(b, 'b'),
        waiting,
      )
      expect([waited, code(first), code(second), await standing()]).toEqual([true, 'done', 'done', 'active'])
    })

    test('the evidence first: in quarantine, until its owner says otherwise', async () => {
      const { first, second, waited } = await overlap(
        [a, 'moveAgent', broker => evidence(broker, 'c')],
        () => certify(b, 'd'),
        waiting,
      )
      expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
      expect(await standing()).toBe('quarantined')
    })
  })

  test('set free', async () => {
    for (let time = 0; time < times; time += 1) {
      const opened = await open(a)
      const verb = time % 2 === 0 ? 'suspend' : 'quarantine'
      const [minted, reopened, changed] = await Promise.allSettled([
        mint(a, opened),
        open(a),
        change(b, verb),
        mint(a, opened, 1),
      ])
      expect(code(changed)).toBe('done')
      const codes = [
        'done',
        'agent_not_active',
        'agent_quarantined',
        'task_not_active',
        'ask_denied',
        'configuration_stale',
      ]
      expect(codes).toContain(code(minted))
      await expect.poll(async () => (await live()).filter(row => row.phase !== 'read'), soon).toEqual([])
      if (verb === 'suspend') {
        await expectAllEnded()
        if (reopened.status === 'fulfilled')
          expect((await a.ledger.read.task(reopened.value.task.id))?.state).not.toBe('active')
      }
      await change(a, 'activate')
    }
  })
}
