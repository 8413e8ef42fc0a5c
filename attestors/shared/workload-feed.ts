/**
 * What one stream of the Workload API said last, for those who ask. The stream begins with the first question, and
 * what it said is used on for a while when it breaks off.
 */
import type { AttestorDeps } from '../attestor.ts'
import { elapsedMs } from './last-good.ts'
import { followWorkloadApi, type WorkloadApiCall } from './workload-api.ts'

export const FEED_TIMES = {
  /** How long the first question waits for the first word. */
  firstWordMs: 5_000,
  /** How long the last good state is used while there is no stream, or only messages that cannot be read. */
  maxStaleMs: 60 * 60_000,
} as const

export type Feed<Value> = {
  look(): Promise<{ value: Value | undefined; failure: string | undefined }>
  close(): void
}

/**
 * @param read makes a state of a message, or throws: then the one before is kept
 */
export function createFeed<Value>(
  call: WorkloadApiCall,
  read: (message: unknown, before: Value | undefined) => Value,
  deps: Pick<AttestorDeps, 'now' | 'schedule' | 'jitter'>,
  changed: () => void = () => {},
): Feed<Value> {
  let value: Value | undefined
  let failure: { reason: string; sinceMs: number } | undefined
  let firstWord: Promise<void> | undefined
  let stop = () => {}
  let closed = false

  function fail(reason: string): void {
    failure = { reason, sinceMs: failure?.sinceMs ?? deps.now() }
  }

  function begin(): Promise<void> {
    return new Promise(resolve => {
      const cancel = deps.schedule(FEED_TIMES.firstWordMs, () => {
        fail(`the Workload API at ${call.socket} has not answered yet`)
        resolve()
      })
      const heard = () => {
        cancel()
        resolve()
        changed()
      }
      const hangUp = followWorkloadApi(
        call,
        {
          message(message) {
            try {
              value = read(message, value)
              failure = undefined
            } catch (error) {
              fail(error instanceof Error ? error.message : 'it cannot be read')
            }
            heard()
          },
          ended({ how, reason }) {
            if (how !== 'lost') value = undefined
            fail(reason)
            heard()
          },
        },
        deps,
      )
      stop = () => {
        hangUp()
        heard()
      }
    })
  }

  return {
    async look() {
      if (!closed) firstWord ??= begin()
      await firstWord
      const stale = failure !== undefined && elapsedMs(deps.now(), failure.sinceMs) >= FEED_TIMES.maxStaleMs
      return { value: stale ? undefined : value, failure: failure?.reason }
    },
    close() {
      if (closed) return
      closed = true
      stop()
    },
  }
}
