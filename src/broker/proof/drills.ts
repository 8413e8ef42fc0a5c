import { record } from '../../audit/record.ts'
import type { DrillRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { issuerOf } from '../credentials/lease-plan.ts'
import type { Schedule } from '../wake-loop.ts'
import { type DrillSettings, DrillStopped, runDrill } from './drill.ts'

export type Drills = {
  /**
   * Starts one; it goes on by itself.
   * @throws BrokerError `not_found` where none is configured for the issuer, `drill_running`, `configuration_stale`
   */
  start(issuer: string, actor: string): Promise<DrillRow>
  /** Starts those that run every day: once, however many brokers share the ledger. */
  daily(): Promise<void>
  /** Resolves when none is under way here. */
  idle(): Promise<void>
  stop(): Promise<void>
}

export type DrillsOptions = {
  schedule: Schedule
  /** Bounded. */
  fetch: typeof globalThis.fetch
  /** By issuer. */
  settings: () => ReadonlyMap<string, DrillSettings>
}

export function createDrills(broker: Broker, { schedule, fetch, settings }: DrillsOptions): Drills {
  const running = new Set<Promise<void>>()
  const wakes = new Set<() => void>()
  let stopped = false

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        cancel()
        wakes.delete(wake)
        if (stopped) reject(new DrillStopped())
        else resolve()
      }
      const cancel = schedule(ms, wake)
      wakes.add(wake)
      if (stopped) wake()
    })
  }

  async function start(issuer: string, actor: string): Promise<DrillRow> {
    const configured = settings().get(issuer)
    if (configured === undefined)
      throw new BrokerError(
        'not_found',
        `no drill is configured for ${JSON.stringify(issuer)}; configured are: ${[...settings().keys()].join(', ') || 'none'}`,
      )
    const stale = broker.stale()
    if (stale !== undefined) throw new BrokerError('configuration_stale', stale)
    const row = await begin(broker, issuer, actor)
    const run = runDrill(broker, row, configured, { fetch, sleep })
      .then(outcome => finish(broker, row, outcome))
      .catch(error => broker.log.error({ drill: row.id, err: error }, 'a drill could not be written down'))
      .finally(() => running.delete(run))
    running.add(run)
    return row
  }

  async function daily(): Promise<void> {
    await abandon(broker)
    // It mints nothing: the day's drills are left to brokers that do.
    if (broker.stale() !== undefined) return
    for (const [issuer, { daily: wanted }] of settings()) {
      if (!wanted) continue
      const mine = await broker.ledger.write(tx => {
        const day = Math.floor(tx.now / DAY_MS)
        return tx.takeBudget(`drill/${issuer}/${day}`, 1, (day + 2) * DAY_MS)
      })
      if (mine) await start(issuer, 'schedule').catch(error => tellUnstarted(broker, issuer, error))
    }
  }

  return {
    start,
    daily,
    async idle() {
      await Promise.all(running)
    },
    async stop() {
      stopped = true
      for (const wake of [...wakes]) wake()
      await Promise.all(running)
    },
  }
}

const DAY_MS = 86_400_000

async function begin(broker: Broker, issuer: string, actor: string): Promise<DrillRow> {
  await abandon(broker)
  const { revocability } = issuerOf(broker, issuer)
  const started = await broker.ledger.write(async tx => {
    const row: DrillRow = {
      ...{ id: broker.newId('drl'), issuer, actor, state: 'running', revocability },
      ...{ started_at: tx.now, deadline: tx.now + broker.limits.drillMs, finished_at: null },
      ...{ task: null, lease: null, proof: '', mint_ms: null, revoke_ms: null, dead_ms: null, detail: null },
    }
    if (!(await tx.startDrill(row))) return undefined
    await record(tx, 'drill.started', { actor }, { drill: row.id, issuer })
    return row
  })
  if (started !== undefined) return started
  throw new BrokerError(
    'drill_running',
    `a drill of ${issuer} is running; see GET /v1/drills?issuer=${issuer}`,
    {
      retryAfterMs: broker.limits.receiptRetryAfterMs,
    },
  )
}

async function finish(
  broker: Broker,
  { id, issuer }: DrillRow,
  outcome: Awaited<ReturnType<typeof runDrill>>,
): Promise<void> {
  const written = await broker.ledger.write(async tx => {
    if (!(await tx.finishDrill(id, outcome))) return false
    const { task, lease, ...figures } = outcome
    const subject = {
      actor: 'broker',
      ...(task === null ? {} : { task }),
      ...(lease === null ? {} : { lease }),
    }
    await record(tx, 'drill.finished', subject, { drill: id, issuer, ...figures })
    return true
  })
  if (written) broker.metrics.drilled(issuer, outcome.state, outcome.dead_ms)
  if (written && outcome.state === 'failed')
    broker.log.error({ alarm: 'drill_failed', drill: id, issuer, ...outcome }, 'a drill failed')
  else broker.log.info({ drill: id, issuer, ...outcome }, 'a drill is over')
}

/** Drills whose broker never came back: what they minted was revoked by the reaper, and nothing was shown. */
async function abandon(broker: Broker): Promise<void> {
  const detail = 'abandoned: the broker that ran it did not finish'
  const lost = await broker.ledger.write(async tx => {
    const rows = await tx.abandonDrills(detail)
    for (const { id, issuer } of rows)
      await record(tx, 'drill.finished', { actor: 'broker' }, { drill: id, issuer, state: 'failed', detail })
    return rows
  })
  for (const { id, issuer } of lost)
    broker.log.error({ alarm: 'drill_failed', drill: id, issuer, detail }, 'a drill failed')
}

function tellUnstarted(broker: Broker, issuer: string, error: unknown): void {
  // An operator was quicker.
  if (error instanceof BrokerError && error.code === 'drill_running') return
  broker.log.error({ alarm: 'drill_failed', issuer, err: error }, 'a drill could not be started')
}
