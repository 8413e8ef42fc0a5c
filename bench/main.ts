/** `npm run bench [-- --short] [-- --leases N] [-- --only NAME]`: see README.md beside this file. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchEnds } from './ends.ts'
import { benchExchange } from './exchange.ts'
import { line, meetsBar, type Row } from './figures.ts'
import { describeMachine } from './machine.ts'
import { benchReap } from './reap.ts'
import { benchStart } from './start.ts'

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    leases: { type: 'string', default: '100000' },
    only: { type: 'string', default: '' },
  },
})
const say = (text: string) => void process.stdout.write(`${text}\n`)
const { short, only } = values
const outstanding = Number(values.leases)
if (!Number.isInteger(outstanding) || outstanding < 1 || outstanding > 1_000_000)
  throw new RangeError('--leases takes a whole number up to 1000000')
const directory = await mkdtemp(join(tmpdir(), 'mayfly-bench-'))

const benches: [name: string, run: (at: string) => Promise<Row[]>][] = [
  ['exchange', at => benchExchange(at, { rounds: short ? 3 : 7, requests: short ? 800 : 1_500, say })],
  ['reap', at => benchReap(at, { rounds: short ? 2 : 3, outstanding, say })],
  ['start', at => benchStart(at, { rounds: short ? 3 : 5, outstanding, say })],
  ['ends', at => benchEnds(at, { windows: short ? 3 : 9, seconds: 2, stuck: short ? 1_000 : 10_000, say })],
]

try {
  say(`machine: ${describeMachine()}`)
  say('exchange/*: the ratio must be at least the bar. Every other row: at most.')
  let missed = 0
  for (const [name, run] of benches.filter(([name]) => name.startsWith(only))) {
    for (const row of await run(join(directory, name))) {
      say(line(row))
      if (!meetsBar(row)) missed += 1
    }
  }
  process.exitCode = missed > 0 ? 1 : 0
} finally {
  await rm(directory, { recursive: true, force: true })
}
