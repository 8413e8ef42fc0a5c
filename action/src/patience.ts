import { isUnavailable } from '../../src/client/index.ts'
import { outageOf } from './explain.ts'
import type { Job } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'

/** An outage of the broker, or of what it needs, is waited out for a while; a refusal is not. @throws what `attempt` does */
export async function withPatience<T>(
  job: Pick<Job, 'world' | 'info'>,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const until = job.world.now() + ACTION_LIMITS.outageMs
  for (let pauseMs: number = ACTION_LIMITS.outagePauseMs; ; pauseMs *= 2) {
    try {
      return await attempt()
    } catch (error) {
      if (!isUnavailable(error) || !error.retryable || signal.aborted) throw error
      const waitMs = Math.max(error.retryAfterMs ?? 0, pauseMs)
      if (job.world.now() + waitMs > until) throw error
      job.info(`${outageOf(error)}; trying again in ${Math.ceil(waitMs / 1_000)} s`)
      await pause(job, waitMs, signal)
    }
  }
}

/** Rejects with the signal's reason as soon as it is aborted. */
export function pause({ world }: Pick<Job, 'world'>, ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const cancel = world.schedule(ms, resolve)
  const stop = () => {
    cancel()
    reject(signal?.reason)
  }
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop, { once: true })
  return promise.finally(() => signal?.removeEventListener('abort', stop))
}
