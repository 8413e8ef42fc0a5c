/**
 * What somebody else publishes, as it last was when it was good: read again by those who need it, when that is due,
 * and kept while it cannot be read. Those who come during a read wait for that one.
 */
export type LastGood<Value> = {
  /** Of any age; undefined where no read was good yet. */
  readonly value: Value | undefined
  /** When `value` was last seen to be good, epoch ms. */
  readonly readAtMs: number
  /** Why the last read failed; undefined after a good one. */
  readonly failure: string | undefined
  /** @returns the value, where it was seen to be good less than this ago */
  within(maxAgeMs: number): Value | undefined
  /** Reads again where the last read, good or not, ended at least this long ago. Does not throw. */
  readAfter(waitMs: number): Promise<void>
}

/** @param read is given the last good value, and throws where there is no newer one to be had */
export function keepLastGood<Value>(
  read: (before: Value | undefined) => Promise<Value>,
  now: () => number,
): LastGood<Value> {
  let value: Value | undefined
  let readAtMs = 0
  let endedAtMs: number | undefined
  let failure: string | undefined
  let pending: Promise<void> | undefined

  async function readAgain(): Promise<void> {
    try {
      value = await read(value)
      readAtMs = now()
      failure = undefined
    } catch (error) {
      failure = error instanceof Error ? error.message : 'unknown failure'
    }
    endedAtMs = now()
  }

  return {
    get value() {
      return value
    },
    get readAtMs() {
      return readAtMs
    },
    get failure() {
      return failure
    },
    within: maxAgeMs => (elapsedMs(now(), readAtMs) < maxAgeMs ? value : undefined),
    async readAfter(waitMs) {
      if (pending === undefined && elapsedMs(now(), endedAtMs) < waitMs) return
      pending ??= readAgain().finally(() => {
        pending = undefined
      })
      await pending
    },
  }
}

/** A clock that was set back counts as having run: the worst it causes is one more read. */
export function elapsedMs(now: number, since: number | undefined): number {
  return since === undefined || now < since ? Number.POSITIVE_INFINITY : now - since
}
