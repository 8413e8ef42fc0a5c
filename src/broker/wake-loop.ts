/** Starts `run` once after `ms` on a monotonic clock; the returned function takes it back. */
export type Schedule = (ms: number, run: () => void) => () => void

export type WakeLoop = {
  /** There is work, perhaps. Cheap, and safe to call at any time. */
  wake(): void
  /** Resolves when no pass is under way. */
  idle(): Promise<void>
  /** Begins no further pass; resolves when the one under way is over. */
  stop(): Promise<void>
  isStopped(): boolean
  /** Whether a pass is under way. */
  isBusy(): boolean
}

/**
 * One pass at a time over work that waits in the ledger: when it is woken, and when the timer that the last pass
 * asked for says so.
 *
 * @param pass looks as long as `isWanted` says so, which it does once for every time it was woken before; returns
 * after how many ms the next one is due. It does not throw.
 */
export function createWakeLoop(
  schedule: Schedule,
  pass: (isWanted: () => boolean) => Promise<number>,
): WakeLoop {
  let underWay: Promise<void> | undefined
  let again = false
  let stopped = false
  let cancelTimer = () => {}

  function wake(): void {
    if (stopped) return
    again = true
    underWay ??= run().finally(() => {
      underWay = undefined
      // Woken after the last look at `again` and before this line.
      if (again) wake()
    })
  }

  async function run(): Promise<void> {
    cancelTimer()
    const wait = await pass(isWanted)
    if (!stopped) cancelTimer = schedule(wait, wake)
  }

  function isWanted(): boolean {
    if (!again || stopped) return false
    again = false
    return true
  }

  return {
    wake,
    isStopped: () => stopped,
    isBusy: () => underWay !== undefined,
    async idle() {
      while (underWay !== undefined) await underWay
    },
    async stop() {
      stopped = true
      cancelTimer()
      await underWay
    },
  }
}
