/** Rules over what was given out before, on both ledgers, where mints are judged at the same time. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Phase } from '../../issuers/issuer.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import { noteTurn, takeTurns } from '../../src/broker/credentials/held-turns.ts'
import type { WantedAsk } from '../../src/broker/credentials/resolve-asks.ts'
import { createHeldMemory } from '../../src/broker/held-memory.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import type { Turn } from '../../src/broker/turns.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import type { RunningServer } from '../../src/server.ts'
import type { LedgerWrite } from '../../src/store/ledger.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
/** Running code (the JWTs of the installation do) never after writing; writing whenever. */
const NOT_AFTER = `${ALL}
@id("no-execute-after-write") forbid(principal, action in Mayfly::Action::"*:execute", resource)
when { context.held.phases.agent.contains("propose") };`
const write = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } }
const run = { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } }
const settings = { policies_dir: 'policies' }

describe('on the embedded ledger', () => {
  races(async () => {
    const installation = await createInstallation({ settings })
    return { installation, start: () => startBroker(installation), close: () => installation.close() }
  })
})

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'on PostgreSQL', () => {
  let postgres: TestPostgres
  let database = ''
  races(
    async () => {
      postgres = await startPostgres()
      const shared = await createSharedInstallation(postgres, { settings })
      const { installation } = shared
      database = shared.database
      const close = async () => {
        await installation.close()
        await postgres.close()
      }
      return { installation, start: () => startSharedBroker(installation), close }
    },
    () => postgres.waiting(database),
  )
})

type Subject = {
  installation: Installation
  start: () => Promise<RunningServer>
  close: () => Promise<void>
}

/** @param waiting how many transactions wait for a row; where it is not said, one that is held holds all others. */
function races(create: () => Promise<Subject>, waiting?: () => Promise<number>): void {
  let subject: Subject
  let server: RunningServer
  let broker: Broker
  beforeAll(async () => {
    subject = await create()
    const folder = join(subject.installation.directory, 'policies')
    await mkdir(folder)
    await writeFile(join(folder, 'all.cedar'), NOT_AFTER)
    server = await subject.start()
    broker = server.broker
  })
  afterAll(async () => {
    await server?.stop()
    await subject?.close()
  })
  // Out of the window of what was given out before.
  beforeEach(() => subject.installation.clock.advance(25 * 3_600_000))

  let job = 0
  const opening = async (asks: WantedAsk[], mintFirst: boolean): Promise<OpenedTask> => {
    job += 1
    const token = await subject.installation.jobToken({ run_id: `${job}`, check_run_id: `${job}` })
    const evidence = { type: 'jwt' as const, token }
    return withFreshConfiguration(broker, within =>
      openTask(within, { evidence, purpose: 'a race', asks, mintFirst }),
    )
  }
  const open = (...asks: WantedAsk[]) => opening(asks, false)
  const openWith = (...asks: WantedAsk[]) => opening(asks, true)
  const mint = (by: Broker, { task, asks }: OpenedTask, index = 0) =>
    withFreshConfiguration(by, within => requestCredential(within, task, { ask: asks[index]!.id }))
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : ((result.reason as { code?: string }).code ?? result.reason)

  test('a mint of what everybody sees already is judged again where something new came after its judgement', async () => {
    await mint(broker, await open(run))
    const opened = await open(run, write)
    const { held, judged, go } = heldBeforeWriting(broker)
    const late = mint(held, opened, 0)
    late.catch(() => {})
    await judged
    // Judged and allowed, and not yet recorded.
    await mint(broker, opened, 1)
    go()
    expect(code((await Promise.allSettled([late]))[0]!)).toBe('ask_denied')
  })

  test('of two that are judged at once by nothing given, the one that comes second is judged again', async () => {
    const opened = await open(run, write)
    const { held, judged, go } = heldBeforeWriting(broker)
    const late = mint(held, opened, 0)
    late.catch(() => {})
    await judged
    await mint(broker, opened, 1)
    go()
    expect(code((await Promise.allSettled([late]))[0]!)).toBe('ask_denied')
  })

  test('mints of what everybody sees already are not refused for each other, however many', async () => {
    await mint(broker, await open(run))
    const tasks = await Promise.all(Array.from({ length: 6 }, () => open(run)))
    const given = await Promise.allSettled(tasks.map(opened => mint(broker, opened)))
    expect(given.map(code)).toEqual(tasks.map(() => 'done'))
  })

  test('first mints of a phase are all given, however many come at once', async () => {
    const tasks = await Promise.all(Array.from({ length: 16 }, () => open(write)))
    const given = await Promise.allSettled(tasks.map(opened => mint(broker, opened)))
    expect(given.map(code)).toEqual(tasks.map(() => 'done'))
  })

  test('and openings that bring one, too', async () => {
    const openings = Array.from({ length: 16 }, () => openWith(write))
    expect((await Promise.allSettled(openings)).map(code)).toEqual(openings.map(() => 'done'))
  })

  test.skipIf(waiting === undefined)('nor do they wait for each other', async () => {
    await mint(broker, await open(run))
    const [one, other] = [await open(run), await open(run)]
    const { first, second, waited } = await overlap(
      [broker, 'insertLease', by => mint(by, one)],
      () => mint(broker, other),
      waiting ?? (async () => 0),
      { unsent: true },
    )
    expect([code(first), code(second), waited]).toEqual(['done', 'done', false])
  })
}

/** Stops at the transaction that records a lease, when everything is judged and before anything is locked. */
function heldBeforeWriting(broker: Broker): { held: Broker; judged: Promise<void>; go: () => void } {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const { ledger } = broker
  const held: Broker = {
    ...broker,
    ledger: {
      ...ledger,
      async write(body) {
        reached.resolve()
        await gate.promise
        return ledger.write(body)
      },
    },
  }
  return { held, judged: reached.promise, go: gate.resolve }
}

describe('the turns of a mint', () => {
  const hour = 3_600_000
  const now = 1_800_000_000_000
  const owned = { owner: { business: 'team' } }
  const agents = new Map([
    ['a', owned],
    ['b', owned],
    ['c', { owner: { business: 'others' } }],
  ])

  /** What is counted up, what is held as it is, and what is only looked at. */
  async function taken(turns: Record<string, Turn>, phase: Phase | null = 'execute'): Promise<string[]> {
    const done: string[] = []
    const note = (what: string) => async (key: string) => {
      done.push(`${what} ${key}`)
      return true
    }
    const raiseTurn = note('raised')
    const turnStands = (key: string, _: number, isHeld: boolean) => note(isHeld ? 'held' : 'seen')(key)
    // As much of both as a mint's turns need.
    const broker = {
      agents: () => agents,
      turns: new Map(Object.entries(turns)),
      heldMemory: createHeldMemory(),
      limits: { policyWindowMs: 24 * hour },
    } as unknown as Broker
    const tx = { now, raiseTurn, turnStands } as unknown as LedgerWrite
    await takeTurns(broker, tx, { agent: 'a', phase })
    return done
  }
  const given = (hoursAgo: number, phase: Phase = 'execute') => new Map([[phase, now - hoursAgo * hour]])
  const team = (of: string, lasting: Turn['lasting'], seen = 7): Turn => ({ seen, of, lasting })

  test.each<[string, Record<string, Turn>, string[]]>([
    ['seen by everybody', { 'held/team/team': team('a', given(1)) }, ['seen held/team/team']],
    ['of another phase', { 'held/team/team': team('a', given(1, 'read')) }, ['raised held/team/team']],
    ['soon out of the window', { 'held/team/team': team('a', given(13)) }, ['raised held/team/team']],
    ['counted by a rule', { 'held/team/team': team('a', null) }, ['raised held/team/team']],
    ["known of another agent's alone", { 'held/team/team': team('b', given(1)) }, ['raised held/team/team']],
    [
      'new to the line alone',
      {
        'held/team/team': team('a', given(1)),
        'held/line/root': { seen: 3, of: null, lasting: new Map() },
      },
      ['raised held/line/root', 'held held/team/team'],
    ],
    [
      'new to the line, and the team has no turn yet',
      {
        'held/team/team': team('a', given(1), 0),
        'held/line/root': { seen: 3, of: null, lasting: new Map() },
      },
      ['raised held/line/root', 'raised held/team/team'],
    ],
    [
      'new, below an agent of another team',
      { 'held/team/team': team('a', new Map()), 'held/team/others': team('c', new Map()) },
      ['held held/team/others', 'raised held/team/team'],
    ],
  ])('%s', async (_, turns, expected) => {
    expect(await taken(turns)).toEqual(expected)
  })

  test('are the least that anything of the request was judged by, in whatever order it was read', () => {
    const noted = (...turns: Turn[]) => {
      const request = { turns: new Map<string, Turn>() }
      for (const turn of turns) noteTurn(request, 'held/team/team', turn)
      return request.turns.get('held/team/team')
    }
    const [before, later] = [team('a', given(1), 7), team('a', new Map(), 8)]
    expect([noted(before, later), noted(later, before)]).toEqual([before, before])
  })
})
