import { expireApprovals } from '../broker/approvals/end-approvals.ts'
import type { Broker } from '../broker/broker.ts'
import { reassess } from '../broker/decisions/reassess.ts'
import { endUnattended } from '../broker/tasks/check-in.ts'
import { sweepWorkEnds } from '../broker/tasks/end-work.ts'
import type { Schedule } from '../broker/wake-loop.ts'
import { LedgerUnavailable } from '../store/ledger.ts'
import { endOverdue, type Writable } from './time.ts'

export type Watch = {
  /** Looks once, now. */
  look(): Promise<void>
  stop(): Promise<void>
}

/**
 * Looks for tasks whose time is up, or whose work has ended and was left to end, at the moment the next one is
 * due and at least every backstop. Time in which the ledger took no writes, or this process did not run, is not
 * held against anyone's heartbeat. All of it is told by the ledger's clock: this machine's own may be off.
 * Beside it goes on what a change of agents left to be looked at.
 */
export function createWatch(broker: Broker, schedule: Schedule): Watch {
  const backstop = broker.limits.reaperBackstopMs
  /** A break between two looks that is not taken for one. */
  const unnoticed = 3 * backstop
  /** Undefined until a write has shown it. */
  let writableSince: number | undefined
  let lastLook = 0
  let looking: Promise<void> | undefined
  let reassessing: Promise<void> | undefined
  let cancel = () => {}
  let stopped = false

  function look(): Promise<void> {
    cancel()
    looking ??= once().finally(() => {
      looking = undefined
    })
    return looking
  }

  /** Not waited for: it may take long, and nobody's deadline waits for it. */
  function goOnReassessing(): void {
    reassessing ??= reassess(broker, () => stopped)
      .catch(error => broker.log.warn({ err: error }, 'agents that changed are still to be looked at'))
      .finally(() => {
        reassessing = undefined
      })
  }

  async function once(): Promise<void> {
    let wait = backstop
    goOnReassessing()
    try {
      const now = await broker.ledger.now()
      await broker.ledger.write(tx => tx.setMeta('last_look', String(now)))
      if (writableSince === undefined || now - lastLook > unnoticed) writableSince = now
      lastLook = now
      const more = await lookAtEach({ since: writableSince, until: now + unnoticed })
      const next = more ? now : await broker.ledger.read.nextDue(now)
      if (next !== null) wait = Math.min(backstop, Math.max(1, next - now))
    } catch (error) {
      writableSince = undefined
      broker.log.error({ err: error }, 'tasks could not be looked at; trying again')
    }
    if (!stopped) cancel = schedule(wait, () => void look())
  }

  /**
   * What fails while the ledger answers is looked at again with the next look, and keeps nothing else from being
   * looked at.
   *
   * @returns whether there is more to end now
   */
  async function lookAtEach(writable: Writable): Promise<boolean> {
    let looks: readonly (() => Promise<boolean>)[] = [
      () => endOverdue(broker, writable),
      async () => (await sweepWorkEnds(broker)) >= broker.limits.endBatch,
      () => expireApprovals(broker),
      () => endUnattended(broker),
    ]
    for (let batch = 0; batch < broker.limits.endBatchesPerLook && !stopped; batch += 1) {
      const done: { one: (typeof looks)[number]; more: boolean | undefined }[] = []
      for (const one of looks) done.push({ one, more: await one().catch(failed) })
      if (!done.some(({ more }) => more)) return false
      looks = done.filter(({ more }) => more !== undefined).map(({ one }) => one)
    }
    return true
  }

  function failed(error: unknown): undefined {
    if (error instanceof LedgerUnavailable) throw error
    broker.log.error({ err: error }, 'what may be over could not be looked at; trying again')
  }

  return {
    look,
    async stop() {
      stopped = true
      cancel()
      await looking
      await reassessing
    },
  }
}
