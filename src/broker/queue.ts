import type { Broker } from './broker.ts'
import { createWakeLoop, type Schedule } from './wake-loop.ts'

/** Work that waits in the ledger: done when it is woken, when the next piece is due, and every backstop. */
export type Queue = {
  /** There is work, perhaps. Cheap, and safe to call at any time. */
  wake(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  /** Takes no new work; resolves when what is under way is done. */
  stop(): Promise<void>
}

export type QueueWork = {
  /** For the log. */
  name: string
  /** Does a bounded batch. @returns whether there may be more to do at once */
  doSome(): Promise<boolean>
  /** Epoch ms of the ledger at which the next piece is due; null where nothing waits. */
  nextDue(): Promise<number | null>
}

export function createQueue(
  broker: Pick<Broker, 'ledger' | 'log' | 'limits'>,
  schedule: Schedule,
  work: QueueWork,
): Queue {
  const loop = createWakeLoop(schedule, async isWanted => {
    const wait = broker.limits.reaperBackstopMs
    try {
      while (isWanted()) while (!loop.isStopped() && (await work.doSome()));
      const next = await work.nextDue()
      return next === null ? wait : Math.min(wait, Math.max(1, next - (await broker.ledger.now())))
    } catch (error) {
      broker.log.error({ queue: work.name, err: error }, 'work stopped short; it will go on')
      return wait
    }
  })
  return loop
}
