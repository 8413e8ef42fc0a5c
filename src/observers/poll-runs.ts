/**
 * For those whom no webhook reaches: the provider is asked, from time to time, about the runs that active
 * tasks belong to. One call for a run, however many tasks it has; each repository is read with a credential
 * of its own, which is a lease like any other.
 */
import type { Work } from '../../attestors/attestor.ts'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import type { Look, WorkState, WorkWatch } from '../../issuers/shared/work.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { withOwnLease } from '../broker/credentials/system-lease.ts'
import { endWork } from '../broker/tasks/end-work.ts'
import { WHOLE_RUN } from '../broker/tasks/work.ts'
import type { Schedule } from '../broker/wake-loop.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import type { Watch } from './watch.ts'

export type PollOptions = { issuer: string; watch: WorkWatch; everyMs: number }

type Run = { key: string; work: Work }
/** What a pass knows of the provider's patience: epoch ms before which it is left alone. */
type Patience = { holdUntil: number }

export function createPoll(broker: Broker, schedule: Schedule, options: PollOptions): Watch {
  const patience: Patience = { holdUntil: 0 }
  let after = ''
  let looking: Promise<void> | undefined
  let cancel = () => {}
  let stopped = false

  function look(): Promise<void> {
    cancel()
    looking ??= pass()
      .catch(error => broker.log.error({ err: error }, 'runs could not be looked at; trying again'))
      .finally(() => {
        looking = undefined
        if (!stopped) cancel = schedule(options.everyMs, () => void look())
      })
    return looking
  }

  async function pass(): Promise<void> {
    // It mints nothing: the turn is left to a broker that does.
    if (broker.stale() !== undefined) return
    const now = await broker.ledger.now()
    if (now < patience.holdUntil) return
    // Of many brokers on one ledger, one looks in each period.
    const until = now + Math.floor(options.everyMs * 0.9)
    if (!(await broker.ledger.write(tx => tx.takeBudget(`poll/${options.issuer}`, 1, until)))) return
    const page = await broker.ledger.read.activeRuns(after, broker.limits.pollRuns)
    const runs = page.map(({ run_key, work }) => ({ key: run_key, work: JSON.parse(work) as Work }))
    const own = runs.filter(({ work }) => work.provider === options.watch.provider)
    const repositories = Map.groupBy(own, ({ work }) => work.repository).values()
    const lanes = Array.from({ length: broker.limits.pollConcurrency }, async () => {
      for (const of of repositories) {
        if (stopped || (await isHeld(broker, patience))) return
        await lookAtRepository(broker, options, of, patience)
      }
    })
    await Promise.all(lanes)
    if (await isHeld(broker, patience)) return
    after = page.length < broker.limits.pollRuns ? '' : (page.at(-1)?.run_key ?? '')
  }

  cancel = schedule(options.everyMs, () => void look())
  return {
    look,
    async stop() {
      stopped = true
      cancel()
      await looking
    },
  }
}

/** What goes wrong here concerns this repository only, unless the provider asks to be left alone. */
async function lookAtRepository(
  broker: Broker,
  { issuer, watch }: PollOptions,
  runs: readonly Run[],
  patience: Patience,
): Promise<void> {
  const [{ work }] = runs as [Run, ...Run[]]
  const ask = watch.ask(work.repository, work.repositoryName)
  try {
    await withFreshConfiguration(broker, within =>
      withOwnLease(within, issuer, ask, 'look at runs', async ({ secret, lease }) => {
        const keep = <Seen>(look: Look<Seen>): Seen | undefined => {
          patience.holdUntil = Math.max(patience.holdUntil, look.holdUntil ?? 0)
          return look.seen
        }
        for (const run of runs) {
          if (await isHeld(broker, patience)) return
          await lookAtRun(broker, run, {
            jobs: async () => keep(await watch.jobs(run.work, secret, lease)),
            whole: async () => keep(await watch.run(run.work, secret, lease)),
          })
        }
      }),
    )
  } catch (error) {
    const asked = error instanceof ProviderUnavailable || error instanceof BrokerError ? error : undefined
    if (asked?.retryAfterMs !== undefined) {
      const wait = Math.min(asked.retryAfterMs, broker.limits.retryAfterCapMs)
      patience.holdUntil = Math.max(patience.holdUntil, (await broker.ledger.now()) + wait)
    }
    const { provider, repository } = work
    broker.log.warn({ alarm: 'poll_failed', issuer, provider, repository, err: error }, 'runs were not seen')
  }
}

type Eyes = {
  jobs: () => Promise<ReadonlyMap<string, WorkState> | undefined>
  whole: () => Promise<WorkState | undefined>
}

async function lookAtRun(broker: Broker, { key, work }: Run, eyes: Eyes): Promise<void> {
  const tasks = await broker.ledger.read.tasksOfWork(key, WHOLE_RUN, broker.limits.endBatch)
  const { job: _ofOneTask, ...run } = work
  const byRun = tasks.filter(({ job, lifetime }) => lifetime === 'run' || job === WHOLE_RUN)
  const byJob = new Set(tasks.filter(task => !byRun.includes(task)).map(({ job }) => job))
  const said = 'seen by asking'
  const jobs = byJob.size > 0 ? await eyes.jobs() : undefined
  for (const job of byJob) {
    const state = jobs?.get(job)
    if (state?.state === 'ended')
      await endWork(broker, { ...run, job, outcome: state.outcome, said }, 'github-poll')
  }
  const whole = byRun.length > 0 ? await eyes.whole() : undefined
  if (whole?.state === 'ended') await endWork(broker, { ...run, outcome: whole.outcome, said }, 'github-poll')
}

async function isHeld(broker: Broker, { holdUntil }: Patience): Promise<boolean> {
  return (await broker.ledger.now()) < holdUntil
}
