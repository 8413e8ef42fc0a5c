/** Lines of work in this process that went wrong side by side, and go on one after another. */
import type { Schedule } from './wake-loop.ts'

/**
 * Resolves when it is this one's turn under that name; the function it answers ends the turn, and may be called again.
 * Whoever takes one ends it: nobody behind goes on before. Undefined where the turn did not come within `waitMs`.
 */
export type Queues = (name: string) => Promise<(() => void) | undefined>

export function createQueues(schedule: Schedule, waitMs: number): Queues {
  const last = new Map<string, Promise<void>>()
  return async name => {
    const before = last.get(name)
    const { promise, resolve: end } = Promise.withResolvers<void>()
    const mine = Promise.resolve(before).then(() => promise)
    last.set(name, mine)
    void mine.then(() => {
      if (last.get(name) === mine) last.delete(name)
    })
    if (before === undefined || (await isOverWithin(before, schedule, waitMs))) return end
    end()
    return undefined
  }
}

function isOverWithin(work: Promise<void>, schedule: Schedule, ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const cancel = schedule(ms, () => resolve(false))
    void work.then(() => {
      cancel()
      resolve(true)
    })
  })
}
