import type { Broker } from './broker.ts'
import type { Schedule } from './credentials/reaper.ts'

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
  let pass: Promise<void> | undefined
  let again = false
  let stopped = false
  let cancelTimer = () => {}

  function wake(): void {
    if (stopped) return
    again = true
    pass ??= run().finally(() => {
      pass = undefined
      // Woken after the last look at `again` and before this line.
      if (again) wake()
    })
  }

  async function run(): Promise<void> {
    cancelTimer()
    let wait = broker.limits.reaperBackstopMs
    try {
      while (again && !stopped) {
        again = false
        while (!stopped && (await work.doSome()));
      }
      const next = await work.nextDue()
      if (next !== null) wait = Math.min(wait, Math.max(1, next - (await broker.ledger.now())))
    } catch (error) {
      broker.log.error({ queue: work.name, err: error }, 'work stopped short; it will go on')
    }
    if (!stopped) cancelTimer = schedule(wait, wake)
  }

  return {
    wake,
    async idle() {
      while (pass !== undefined) await pass
    },
    async stop() {
      stopped = true
      cancelTimer()
      await pass
    },
  }
}
