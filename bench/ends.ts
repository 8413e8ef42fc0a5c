/** From the end of a task to its credential revoked: how soon, and how soon while another provider is dead. */
import { join } from 'node:path'
import { createReaper } from '../src/broker/credentials/reaper.ts'
import { endTask } from '../src/broker/tasks/end-task.ts'
import type { Core } from '../src/open-core.ts'
import { openBenchCore, schedule } from './core.ts'
import { median, percentile, type Row } from './figures.ts'
import { fill } from './fill.ts'
import { observeClosings } from './observe.ts'
import type { Place, Shelf } from './shelf.ts'

const PER_SECOND = 100
const BAR_MS = 250
const PATIENCE_MS = 20_000

export type EndsOptions = {
  /** Odd; so many for each of the two ledgers, in turn. */
  windows: number
  seconds: number
  /** Revocations that hang on the dead provider. */
  stuck: number
  /** What both ledgers begin with. */
  original: Place
  say: (text: string) => void
}

export async function benchEnds(
  shelf: Shelf,
  directory: string,
  { windows, seconds, stuck, original, say }: EndsOptions,
): Promise<Row[]> {
  const open = async (at: string) => openBenchCore(at, await shelf.copy(original, at), shelf)
  const healthy = await open(join(directory, 'healthy'))
  const beset = await open(join(directory, 'beset'))
  try {
    await fill(beset, { count: stuck, issuer: 'dead', state: 'due' })
    const p99 = { healthy: [] as number[], beset: [] as number[] }
    const all: number[] = []
    for (let window = 0; window < windows; window += 1) {
      const turns = ['healthy', 'beset'] as const
      for (const name of window % 2 === 0 ? turns : turns.toReversed()) {
        const taken = await endings(name === 'healthy' ? healthy : beset, seconds)
        p99[name].push(percentile(taken, 0.99))
        if (name === 'healthy') all.push(...taken)
      }
    }
    const usual = median(p99.healthy)
    say(
      `ends: ${PER_SECOND} tasks end a second for ${windows} windows of ${seconds} s; the provider answers at once`,
    )
    say(
      `ends: end to revoked, proven and recorded: median ${median(all).toFixed(1)} ms, p99 of a window ${usual.toFixed(1)} ms of ${BAR_MS} ms, of all windows together ${percentile(all, 0.99).toFixed(1)} ms`,
    )
    say(
      `isolation: p99 of a window ${median(p99.healthy).toFixed(1)} ms, with ${stuck} revocations stuck on a dead provider ${median(p99.beset).toFixed(1)} ms`,
    )
    return [
      { name: 'end-to-revoked/p99', ratio: usual / BAR_MS, bar: 1, good: 'most' },
      { name: 'isolation/p99', ratio: median(p99.beset) / median(p99.healthy), bar: 2, good: 'most' },
    ]
  } finally {
    await Promise.all([healthy.close(), beset.close()])
  }
}

/**
 * One window with a reaper of its own, so that no breaker is open when it begins.
 * @returns for each task the ms from the moment it was to end until its credential's closing was durable.
 */
async function endings(core: Core, seconds: number): Promise<number[]> {
  const count = PER_SECOND * seconds
  const tasks = await fill(core, { count, issuer: 'answers', state: 'active' })
  const endedAt = new Map<string, number>()
  const taken: number[] = []
  let finished = () => {}
  const broker = observeClosings(core.broker, task => {
    taken.push(performance.now() - endedAt.get(task)!)
    if (taken.length === count) finished()
  })
  const reaper = createReaper(broker, schedule)
  core.setWake(reaper.wake)
  reaper.wake()
  try {
    await new Promise<void>((resolve, reject) => {
      finished = resolve
      const queue = tasks.values()
      setTimeout(
        () => reject(new Error('not every ended task was revoked')),
        seconds * 1_000 + PATIENCE_MS,
      ).unref()
      endEvenly(queue, (task, dueAt) => {
        endedAt.set(task, dueAt)
        endTask(broker, task, 'completed', { actor: `task:${task}` }).catch(reject)
      })
    })
  } finally {
    core.setWake(() => {})
    await reaper.stop()
  }
  return taken
}

/** One after another at an even rate. A late timer is not the broker's gain: time counts from the due moment. */
function endEvenly(queue: Iterator<string>, end: (task: string, dueAt: number) => void): void {
  const everyMs = 1_000 / PER_SECOND
  let dueAt = performance.now()
  const tick = () => {
    while (dueAt <= performance.now()) {
      const next = queue.next()
      if (next.done) return
      end(next.value, dueAt)
      dueAt += everyMs
    }
    setTimeout(tick, Math.max(0, dueAt - performance.now()))
  }
  tick()
}
