/** A schedule that the test owns: what is due soon runs at once, what is waited for runs when the test says so. */
export type Timers = {
  schedule(ms: number, run: () => void): () => void
  /** How long those that wait were asked to wait. */
  waiting(): number[]
  /** Runs all that wait. */
  fire(): Promise<void>
}

const SOON_MS = 100

export function createTimers(): Timers {
  const held = new Map<object, { ms: number; run: () => void }>()
  return {
    schedule(ms, run) {
      if (ms < SOON_MS) {
        const immediate = setImmediate(run)
        return () => clearImmediate(immediate)
      }
      const key = {}
      held.set(key, { ms, run })
      return () => held.delete(key)
    },
    waiting: () => [...held.values()].map(({ ms }) => ms),
    async fire() {
      const due = [...held.values()]
      held.clear()
      for (const { run } of due) run()
      await new Promise(setImmediate)
    },
  }
}
