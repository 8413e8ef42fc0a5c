import cron from 'node-cron'
import type { Log } from './broker/broker.ts'

/** Once a day, at a quiet hour and not at the full hour when everybody does. */
const DAILY = '17 3 * * *'

/**
 * Calendar work (key rotation, pruning) on node-cron. Nothing that a credential's end depends on stands
 * here: a wall clock that is set back makes a calendar wait.
 */
export function createCalendar(log: Log): (run: () => Promise<void>) => () => void {
  const logger = {
    info: (message: string) => log.debug({}, message),
    warn: (message: string) => log.warn({}, message),
    error: (message: string | Error, err?: Error) => log.error({ err: err ?? message }, 'calendar'),
    debug: (message: string | Error) => log.debug({}, String(message)),
  }
  return function everyDay(run) {
    const task = cron.schedule(
      DAILY,
      () =>
        run().catch(error =>
          log.error({ err: error }, 'the daily work stopped short; it runs again tomorrow'),
        ),
      { logger, suppressMissedWarning: true, noOverlap: true },
    )
    return () => void task.destroy()
  }
}
