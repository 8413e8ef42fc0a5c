/** One set of policies and the thread that judges by it; another thread takes its place when it dies. */
import type { Log } from '../broker/broker.ts'
import type { Schedule } from '../broker/wake-loop.ts'
import { LIMITS } from '../limits.ts'
import type { Metrics } from '../metrics.ts'
import type { PolicyProblem } from '../policy/cedar/compile.ts'
import type { PolicyVerdict } from '../policy/facts.ts'
import { type Loaded, startThread, type Thread, type ThreadJob } from './thread.ts'

export type SeatTools = {
  schedule: Schedule
  log: Log
  metrics: Metrics
  /** Another program for the thread than the one that judges; for tests of what happens when it fails. */
  worker?: URL
}

export type Seat = {
  loaded: Loaded
  /** Never throws: what cannot be judged is denied, as failed. */
  judge(request: string): Promise<PolicyVerdict>
  /** Whether there is no thread to judge in, and none could be started. */
  isBroken(): boolean
  stop(): Promise<void>
}

/** @throws ThreadDied where no thread can be started */
export async function openSeat(
  job: ThreadJob,
  tools: SeatTools,
): Promise<{ ok: true; seat: Seat } | { ok: false; problems: readonly PolicyProblem[] }> {
  const { schedule, log, metrics } = tools
  const first = await startThread(job, tools)
  if (!first.ok) return first
  /** The thread, or the one that is being started instead. */
  let thread: Promise<Thread> = Promise.resolve(first.thread)
  let broken = false
  let stopped = false
  let cancelWait = () => {}
  keep(first.thread)

  function keep(one: Thread): void {
    void one.died.then(() => {
      if (stopped) return
      log.error({ alarm: 'policy_thread_died' }, 'the thread that judges by policy died; starting another')
      thread = replace()
      thread.catch(() => {})
    })
  }

  /** Tries until it succeeds or nobody wants it any more, ever more slowly. */
  async function replace(): Promise<Thread> {
    for (let wait = LIMITS.backoffBaseMs; ; wait = Math.min(2 * wait, LIMITS.policyLoadMs)) {
      try {
        const next = await startThread(job, tools)
        // The same files were accepted before: what refuses them now is not to be believed either.
        if (!next.ok) throw new Error('it refuses what was accepted')
        if (stopped) await next.thread.kill()
        metrics.policyRestarted('started')
        broken = false
        keep(next.thread)
        return next.thread
      } catch (error) {
        if (stopped) throw error
        broken = true
        metrics.policyRestarted('failed')
        log.error(
          { alarm: 'policy_thread_failed', err: error },
          'no thread can be started to judge by policy',
        )
        await new Promise<void>(resolve => {
          const cancel = schedule(wait, resolve)
          cancelWait = () => {
            cancel()
            resolve()
          }
        })
        if (stopped) throw error
      }
    }
  }

  /** One deadline for all of it, a thread that is only starting included. */
  function judge(request: string): Promise<PolicyVerdict> {
    if (broken) return Promise.resolve(failure('it cannot be started'))
    return new Promise(resolve => {
      const over = (reason: string) => resolve(failure(reason))
      let asked: Thread | undefined
      const cancel = schedule(LIMITS.policyDecisionMs, () => {
        over('no answer in time')
        // It hangs; those that wait behind it are denied with it.
        void asked?.kill()
      })
      const done = thread.then(one => {
        asked = one
        return one.ask(request)
      })
      done
        .then(resolve, (error: unknown) => over(error instanceof Error ? error.message : 'unknown'))
        .finally(cancel)
    })
  }

  return {
    ok: true,
    seat: {
      loaded: first.thread.loaded,
      judge,
      isBroken: () => broken,
      async stop() {
        stopped = true
        cancelWait()
        await thread.then(
          one => one.kill(),
          () => {},
        )
      },
    },
  }
}

export function failure(reason: string): PolicyVerdict {
  return {
    ...{ outcome: 'deny', determining: [], requires: [], nearest: [], failed: true },
    reasons: [`the policy engine failed: ${reason}`],
  }
}
