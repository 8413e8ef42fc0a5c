/** One run of the whole job on a fresh ledger, with one fault, and everything that must hold afterwards. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import type { Edge } from '../../src/open-core.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import type { TaskRow } from '../../src/store/rows.ts'
import { openSqliteLedger } from '../../src/store/sqlite.ts'
import type { FaultHook } from '../fakes/faults.ts'
import { edgeFor, type Installation, RESOURCE_SERVER } from '../fakes/installation.ts'
import { createFaultPlan, type Fault, type FaultPlan, WAYS } from './fault-plan.ts'
import { faultyLedger } from './faulty-ledger.ts'
import { type Call, retryingClient } from './retrying-client.ts'
import { allLeases, allTasks, liveCredentials, mintedTwice, unaccounted } from './truth.ts'
import { runWholeJob } from './whole-job.ts'

const MINUTE_MS = 60_000

/** @throws AssertionError where the run ends in anything that must not be. */
export async function runWithFault(installation: Installation, fault?: Fault): Promise<FaultPlan> {
  const plan = createFaultPlan(fault)
  await forgetLedger(installation)
  const server = await start(installation, plan)
  try {
    const call = retryingClient(server.url, installation.clock, plan)
    plan.armed = true
    const { jwts, troubles } = await runWholeJob(call, installation, () => server.look())
    plan.armed = false
    expect(troubles, 'one fault, and a caller that tries again').toEqual([])
    await expectEnded(installation, server, { call, jwts, fault })
  } catch (error) {
    // What a failed run leaves alive must not fail the runs after it.
    installation.clock.advance(24 * 60 * MINUTE_MS)
    throw error
  } finally {
    await server.stop()
  }
  return plan
}

/**
 * One first start of a broker with one fault in it: it starts all the same, or it refuses and leaves nothing
 * behind that keeps the next one from starting.
 */
export async function startWithFault(installation: Installation, fault?: Fault): Promise<FaultPlan> {
  const plan = createFaultPlan(fault)
  await forgetLedger(installation)
  plan.armed = true
  const first = await start(installation, plan, atOnce).catch((error: unknown) => error)
  plan.armed = false
  if (first instanceof Error) expect(plan.struck, first.message).toBeDefined()
  const server = first instanceof Error ? await start(installation, plan, atOnce) : (first as RunningServer)
  try {
    const ready = await fetch(`${server.url}/readyz`)
    expect(await ready.json()).toEqual({ status: 'ready' })
  } finally {
    await server.stop()
  }
  return plan
}

function forgetLedger({ directory }: Installation): Promise<void> {
  return rm(join(directory, 'data'), { recursive: true, force: true })
}

/** A start that waits before it tries once more does not wait here. */
const atOnce: Edge['schedule'] = (ms, run) => {
  if (ms !== LIMITS.backoffBaseMs) return () => {}
  const timer = setTimeout(run, 1)
  return () => clearTimeout(timer)
}

async function start(
  installation: Installation,
  plan: FaultPlan,
  schedule: Edge['schedule'] = () => () => {},
): Promise<RunningServer> {
  const hook: FaultHook = ({ provider, operation, when }) =>
    plan.ask({ kind: provider as 'github' | 'aws' | 'identity', operation, when })?.decision ?? 'ok'
  installation.github.faults = hook
  installation.aws.faults = hook
  installation.identityProvider.faults = hook
  const edge = edgeFor(installation)
  const readable = (path: string) => {
    const fault = plan.ask({ kind: 'file', operation: path, when: 'before' })
    if (fault !== undefined) throw new Error(`EIO: i/o error, read ${path}`)
  }
  return startServer(installation.configPath, {
    ...edge,
    files: {
      ...edge.files,
      async readFile(path) {
        readable(path)
        return edge.files.readFile(path)
      },
    },
    kekFiles: {
      ...edge.kekFiles,
      async read(path) {
        readable(path)
        return edge.kekFiles.read(path)
      },
    },
    // Nothing happens by the passing of real time: the run itself says when to look.
    schedule,
    openLedger: async options => faultyLedger(await openSqliteLedger(options), plan),
  } satisfies Edge)
}

/** The fault is over. Time passes in steps, and what must hold after each is asked of providers and ledger. */
async function expectEnded(
  installation: Installation,
  server: RunningServer,
  { call, jwts, fault }: { call: Call; jwts: readonly string[]; fault: Fault | undefined },
): Promise<void> {
  const { ledger } = server.broker
  const pass = async (ms: number) => {
    installation.clock.advance(ms)
    await server.look()
    const leases = await allLeases(ledger)
    const live = liveCredentials(installation)
    expect(unaccounted(live, leases), 'live at a provider, and not outstanding in the ledger').toEqual([])
    return { leases, tasks: await allTasks(ledger), live }
  }
  const activeJwts = async () => {
    const { id, secret } = RESOURCE_SERVER
    const asked = jwts.map(token =>
      call('POST', '/oauth/introspect', { basic: [id, secret], form: { token } }),
    )
    return (await Promise.all(asked)).filter(reply => reply.body.active !== false)
  }

  // 1. At once: whoever ended their task has no JWT left.
  await pass(0)
  expect(await activeJwts(), 'JWTs of ended tasks').toEqual([])

  // 2. Claims of work that was cut short have run out, and back-off is over: what can be revoked is.
  await pass(MINUTE_MS + 1_000)
  const soon = await pass(6 * MINUTE_MS)
  const ended = new Set(soon.tasks.filter(task => task.state !== 'active').map(task => task.id))
  const late = soon.leases.filter(row => row.sealed_secret !== null && ended.has(row.task))
  expect(
    late.map(row => `${row.issuer} ${row.last_error}`),
    'still to be revoked',
  ).toEqual([])
  // A token whose answer was lost at GitHub is known to nobody: it lives until GitHub ends it.
  const unseen = fault !== undefined && WAYS[fault.way].kind === 'github' && WAYS[fault.way].when === 'after'
  const held = soon.leases.filter(row => unseen || !ended.has(row.task)).map(row => row.id)
  const tokens = soon.live.filter(({ provider, lease }) => provider === 'github' && !held.includes(lease))
  expect(tokens, 'GitHub tokens of ended tasks').toEqual([])

  // What still goes on is what nobody was told of, and nobody can ask for again: its evidence is no single use.
  const orphan = (task: TaskRow) =>
    task.parent === null && task.token_used_at === null && JSON.parse(task.identity).attestor === 'spire'
  const goingOn = soon.tasks.filter(task => task.state === 'active' && !orphan(task))
  expect(goingOn, 'active after the job').toEqual([])

  // 3. Tasks whose token nobody ever got end by their deadline.
  const later = await pass(45 * MINUTE_MS)
  expect(later.tasks.filter(task => task.state === 'active')).toEqual([])

  // 4. Whatever may have been minted with an unknown outcome is past its life.
  await pass(80 * MINUTE_MS)
  const last = await pass(0)
  expect(mintedTwice(installation), 'leases with more than one credential').toEqual([])
  expect(last.live, 'live when all is over').toEqual([])
  expect(last.leases.filter(row => row.state !== 'closed')).toEqual([])
  expect(last.tasks.filter(task => task.state !== 'settled')).toEqual([])
  const unconfirmed = last.leases.filter(row => row.closed_as === 'expired_unconfirmed')
  expect(
    unconfirmed.filter(row => row.secret_sha256 !== null),
    'known and never seen dead',
  ).toEqual([])
}
