/**
 * Virtual time. Every await on something outside is an event here, owned by a process; the next event is let
 * go only when every microtask of the one before has run, so one seed gives one history.
 */
import { createHash } from 'node:crypto'

/** What a process does not survive, its events do not either. The world and the clients never crash. */
export type Process = {
  readonly name: string
  isGone: boolean
  /** Virtual ms until which it stands still; its events wait for it. */
  pausedUntil: number
}

type Event = { at: number; seq: number; owner: Process; label: string; run: () => void; cancelled: boolean }

/** Asked before an event is let go; `drop` where its owner did not live to see it. */
export type BeforeEvent = (owner: Process, label: string) => 'go' | 'drop'

/** Whatever is under way is done by then, in virtual time. */
const PATIENCE_MS = 60 * 60_000
/** Of one history; an ordinary one has a few thousand. */
const MOST_STEPS = 100_000

export type Scheduler = ReturnType<typeof createScheduler>

// Taken before anything is guarded: the one real thing that the simulation waits for.
const turnOfTheLoop = setImmediate

export function createScheduler(start: number) {
  const history = createHash('sha256')
  let now = start
  let seq = 0
  let steps = 0
  let before: BeforeEvent = () => 'go'
  const heap: Event[] = []

  function after(owner: Process, ms: number, label: string, run: () => void): () => void {
    seq += 1
    const event = { at: now + Math.max(0, Math.ceil(ms)), seq, owner, label, run, cancelled: false }
    push(heap, event)
    return () => {
      event.cancelled = true
    }
  }

  /** Lets one event go. False: nothing is waiting. */
  async function step(): Promise<boolean> {
    for (;;) {
      const event = pop(heap)
      if (event === undefined) return false
      if (event.cancelled || event.owner.isGone) continue
      now = Math.max(now, event.at)
      if (event.owner.pausedUntil > now) {
        push(heap, { ...event, at: event.owner.pausedUntil, run: () => event.cancelled || event.run() })
        continue
      }
      if (before(event.owner, event.label) === 'drop') continue
      steps += 1
      note(`${now} ${event.owner.name} ${event.label}`)
      event.run()
      await new Promise<void>(resolve => turnOfTheLoop(resolve))
      return true
    }
  }

  function note(line: string): void {
    history.update(`${line}\n`)
  }

  return {
    now: () => now,
    after,
    note,
    wait: (owner: Process, ms: number, label: string) =>
      new Promise<void>(resolve => {
        after(owner, ms, label, resolve)
      }),
    /** Runs everything up to this moment. @throws what `failure` returns, as soon as it returns something */
    async runUntil(moment: number, failure: () => Error | undefined): Promise<void> {
      while (heap.length > 0 && heap[0]!.at <= moment) {
        if (!(await step())) break
        if (steps > MOST_STEPS) throw new Error(`after ${steps} events it has not come to rest`)
        const failed = failure()
        if (failed !== undefined) throw failed
      }
      now = Math.max(now, moment)
    },
    /** @throws where it waits for something that nobody here will ever bring */
    async settle<T>(what: string, promise: Promise<T>): Promise<T> {
      let isSettled = false
      const watched = promise.finally(() => {
        isSettled = true
      })
      watched.catch(() => {})
      await new Promise<void>(resolve => turnOfTheLoop(resolve))
      const soon = now + PATIENCE_MS
      while (!isSettled)
        if (now > soon || !(await step()))
          throw new Error(`${what} awaits something that the simulation does not own`)
      return watched
    },
    beforeEach(ask: BeforeEvent): void {
      before = ask
    },
    steps: () => steps,
    /** Of everything that happened so far. */
    historyHash: () => history.copy().digest('hex').slice(0, 16),
  }
}

const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.seq < b.seq)

function push(heap: Event[], event: Event): void {
  let index = heap.push(event) - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    if (!isBefore(heap[index]!, heap[parent]!)) return
    swap(heap, index, parent)
    index = parent
  }
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  heap[0] = last
  for (let index = 0; ; ) {
    const [left, right] = [2 * index + 1, 2 * index + 2]
    let least = index
    if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left
    if (right < heap.length && isBefore(heap[right]!, heap[least]!)) least = right
    if (least === index) return first
    swap(heap, index, least)
    index = least
  }
}

function swap(heap: Event[], a: number, b: number): void {
  const kept = heap[a]!
  heap[a] = heap[b]!
  heap[b] = kept
}
