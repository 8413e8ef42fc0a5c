import type { Broker } from '../broker/broker.ts'
import type { Schedule } from '../broker/reaper.ts'
import { endOverdue } from './time.ts'

export type Watch = {
  /** Looks once, now. */
  look(): Promise<void>
  stop(): Promise<void>
}

/**
 * Looks for tasks whose time is up, at the moment the next one is due and at least every backstop. Time in
 * which the ledger took no writes, or this process did not run, is not held against anyone's heartbeat.
 */
export function createWatch(broker: Broker, schedule: Schedule): Watch {
  const backstop = broker.limits.reaperBackstopMs
  let writableSince = broker.now()
  let lastLook = writableSince
  let looking: Promise<void> | undefined
  let cancel = () => {}
  let stopped = false

  function look(): Promise<void> {
    cancel()
    looking ??= once().finally(() => {
      looking = undefined
    })
    return looking
  }

  async function once(): Promise<void> {
    let wait = backstop
    try {
      const now = await broker.ledger.now()
      if (now - lastLook > 3 * backstop) writableSince = now
      lastLook = now
      await broker.ledger.write(tx => tx.setMeta('last_look', String(now)))
      await endOverdue(broker, writableSince)
      const next = await broker.ledger.read.nextDue(now)
      if (next !== null) wait = Math.min(backstop, Math.max(1, next - now))
    } catch (error) {
      writableSince = broker.now()
      broker.log.error({ err: error }, 'tasks could not be looked at; trying again')
    }
    if (!stopped) cancel = schedule(wait, () => void look())
  }

  return {
    look,
    async stop() {
      stopped = true
      cancel()
      await looking
    },
  }
}
