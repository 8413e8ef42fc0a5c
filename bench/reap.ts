/** Reaping costs what is due, not what is outstanding. */
import { join } from 'node:path'
import { createReaper } from '../src/broker/reaper.ts'
import type { Core } from '../src/server.ts'
import { openBenchCore, schedule } from './core.ts'
import { median, type Row } from './figures.ts'
import { fill } from './fill.ts'
import { observeClosings } from './observe.ts'

const DUE = 10_000

/** @param outstanding leases of the same issuer that are not due, in one of the two ledgers. */
export async function benchReap(
  directory: string,
  { rounds, outstanding, say }: { rounds: number; outstanding: number; say: (text: string) => void },
): Promise<Row[]> {
  const none = await openBenchCore(join(directory, 'none'))
  const many = await openBenchCore(join(directory, 'many'))
  try {
    await fill(many, { count: outstanding, issuer: 'answers', state: 'active' })
    const taken = { none: [] as number[], many: [] as number[] }
    for (let round = 0; round < rounds; round += 1) {
      const turns = [
        ['none', none],
        ['many', many],
      ] as const
      for (const [name, core] of round % 2 === 0 ? turns : turns.toReversed())
        taken[name].push(await reapMs(core))
    }
    say(
      `reap: ${DUE} due leases, each revoked, proven dead, closed and settled, by a provider that answers at once`,
    )
    say(
      `reap: ${median(taken.none).toFixed(0)} ms with no others, ${median(taken.many).toFixed(0)} ms with ${outstanding} others`,
    )
    return [{ name: 'reap/10k-due', ratio: median(taken.many) / median(taken.none), bar: 1.5, good: 'most' }]
  } finally {
    await Promise.all([none.close(), many.close()])
  }
}

/** From the wake to the commit that closes the last one. */
async function reapMs(core: Core): Promise<number> {
  await fill(core, { count: DUE, issuer: 'answers', state: 'due' })
  return new Promise((resolve, reject) => {
    let closed = 0
    const broker = observeClosings(core.broker, () => {
      closed += 1
      if (closed < DUE) return
      const ms = performance.now() - started
      reaper.stop().then(() => resolve(ms), reject)
    })
    const reaper = createReaper(broker, schedule)
    const started = performance.now()
    reaper.wake()
  })
}
