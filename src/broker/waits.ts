/** Requests that wait for humans: woken by what happens in this process, and looking for what others did. */
import type { Limits } from '../limits.ts'

export type Waits = {
  /** Something about this task has changed. Called after COMMIT. */
  wake(task: string): void
  /**
   * Resolves when `isOver` says so, when the time is up, or at once where too many wait already. Never longer
   * than `ms`, whatever `isOver` throws is thrown.
   */
  until(task: string, ms: number, isOver: () => Promise<boolean>): Promise<void>
  /** Lets everyone go, and takes nobody in. */
  stop(): void
}

type Options = {
  /** Epoch ms. */
  now: () => number
  /** Runs once after `ms`; the returned function takes it back. */
  schedule: (ms: number, run: () => void) => () => void
  limits: Pick<Limits, 'approvalWaiters' | 'approvalLookMs'>
}

export function createWaits({ now, schedule, limits }: Options): Waits {
  const waiting = new Map<string, Set<() => void>>()
  let count = 0
  let stopped = false

  /** Armed before anything is looked at, so that what happens meanwhile is not missed. */
  function arm(task: string, ms: number): { woken: Promise<void>; disarm: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = schedule(ms, resolve)
    const of = waiting.get(task) ?? new Set()
    waiting.set(task, of.add(resolve))
    const disarm = () => {
      cancel()
      of.delete(resolve)
      if (of.size === 0 && waiting.get(task) === of) waiting.delete(task)
    }
    return { woken: promise, disarm }
  }

  return {
    wake(task) {
      for (const go of waiting.get(task) ?? []) go()
    },
    async until(task, ms, isOver) {
      if (stopped || count >= limits.approvalWaiters) return
      count += 1
      const end = now() + ms
      try {
        for (let left = ms; left > 0 && !stopped; left = end - now()) {
          const { woken, disarm } = arm(task, Math.min(left, limits.approvalLookMs))
          try {
            if (await isOver()) return
            await woken
          } finally {
            disarm()
          }
        }
      } finally {
        count -= 1
      }
    },
    stop() {
      stopped = true
      for (const of of waiting.values()) for (const go of of) go()
    },
  }
}

/** Waits for nothing: for commands without a server, and for tests. */
export const noWaits: Waits = { wake() {}, until: async () => {}, stop() {} }
