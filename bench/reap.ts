/** Reaping costs what is due, not what is outstanding. */
import { join } from 'node:path'
import { createReaper } from '../src/broker/credentials/reaper.ts'
import type { Core } from '../src/open-core.ts'
import { openBenchCore, schedule } from './core.ts'
import { median, type Row } from './figures.ts'
import { fill } from './fill.ts'
import { observeClosings } from './observe.ts'
import type { Place, Shelf } from './shelf.ts'

export type ReapOptions = {
  rounds: number
  due: number
  /** A ledger with that many leases of the same issuer that are not due. */
  original: Place
  outstanding: number
  say: (text: string) => void
}

export async function benchReap(
  shelf: Shelf,
  directory: string,
  { rounds, due, original, outstanding, say }: ReapOptions,
): Promise<Row[]> {
  const at = (name: string) => join(directory, name)
  const none = await openBenchCore(at('none'), await shelf.place(at('none')), shelf)
  const many = await openBenchCore(at('many'), await shelf.copy(original, at('many')), shelf)
  try {
    const taken = { none: [] as number[], many: [] as number[] }
    for (let round = 0; round < rounds; round += 1) {
      const turns = [
        ['none', none],
        ['many', many],
      ] as const
      for (const [name, core] of round % 2 === 0 ? turns : turns.toReversed())
        taken[name].push(await reapMs(core, due))
    }
    say(
      `reap: ${due} due leases, each revoked, proven dead, closed and settled, by a provider that answers at once`,
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
async function reapMs(core: Core, due: number): Promise<number> {
  await fill(core, { count: due, issuer: 'answers', state: 'due' })
  return new Promise((resolve, reject) => {
    let closed = 0
    const broker = observeClosings(core.broker, () => {
      closed += 1
      if (closed < due) return
      const ms = performance.now() - started
      reaper.stop().then(() => resolve(ms), reject)
    })
    const reaper = createReaper(broker, schedule)
    const started = performance.now()
    reaper.wake()
  })
}
