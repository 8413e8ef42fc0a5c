/** `npm run bench [-- --short] [-- --leases N] [-- --ledger NAME] [-- --only NAME]`: see README.md beside this file. */
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { missingPostgres } from '../test/support/postgres.ts'
import { benchAttest } from './attest.ts'
import { benchEnds } from './ends.ts'
import { benchExchange } from './exchange.ts'
import { line, meetsBar, type Row } from './figures.ts'
import { describeMachine, rawSyncsPerSecond } from './machine.ts'
import { benchPolicy } from './policy.ts'
import { benchReap } from './reap.ts'
import { openShelf, type Place, type Shelf } from './shelf.ts'
import { refuseFastSync, SYNC_MS, slowSync } from './slow-sync.ts'
import { benchStart } from './start.ts'
import { stock } from './stock.ts'

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    leases: { type: 'string' },
    ledger: { type: 'string' },
    only: { type: 'string', default: '' },
    /** Set by this program for the part of itself that it starts on the slow disk. */
    slow: { type: 'boolean', default: false },
  },
})
const { short, only, slow } = values
/** The exit code where a bar was missed; 1 where it could not be measured. */
const MISSED = 2
const LEDGERS = ['sqlite', 'postgres', 'slow'] as const
type LedgerName = (typeof LEDGERS)[number]
const outstanding = Number(values.leases ?? (short ? 20_000 : 1_000_000))
if (!Number.isInteger(outstanding) || outstanding < 1 || outstanding > 1_000_000)
  throw new RangeError('--leases takes a whole number up to 1000000')
if (values.ledger !== undefined && !LEDGERS.some(name => name === values.ledger))
  throw new RangeError(`--ledger takes one of ${LEDGERS.join(', ')}`)

const directory = await mkdtemp(join(tmpdir(), 'mayfly-bench-'))
try {
  if (!slow) {
    print(`machine: ${describeMachine()}`)
    print('exchange/*: the ratio must be at least the bar. Every other row: at most.')
  }
  const missed: string[] = []
  if (!slow && values.ledger === undefined && 'attest'.startsWith(only)) await measureAttestors()
  for (const name of LEDGERS.filter(chosen)) missed.push(...(await measure(name)))
  if (!slow) print(missed.length === 0 ? 'every bar is met' : `missed: ${missed.join(', ')}`)
  process.exitCode = missed.length > 0 ? MISSED : 0
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** No ledger is in it. There are no bars: what stands beside a signature is to be known, not to be none. */
async function measureAttestors(): Promise<void> {
  const size = short ? { rounds: 3, pieces: 300 } : { rounds: 7, pieces: 2_000 }
  for (const row of await benchAttest({ ...size, say: print })) print(line(row))
}

/** A short run leaves the slow disk out. */
function chosen(name: LedgerName): boolean {
  return values.ledger === undefined ? !(short && name === 'slow') : values.ledger === name
}

/** @returns the rows whose bar was missed */
async function measure(name: LedgerName): Promise<string[]> {
  const say = (text: string) => print(`${name}: ${text}`)
  if (name === 'slow' && !slow) return measureSlow(say)
  const missing = name === 'postgres' ? missingPostgres() : undefined
  if (missing !== undefined) {
    say(`not measured: ${missing}`)
    return []
  }
  const shelf = await openShelf(name === 'postgres' ? 'postgres' : 'sqlite')
  try {
    const syncs = rawSyncsPerSecond(directory, 1_000)
    if (name === 'slow') refuseFastSync(syncs)
    say(
      `${await shelf.describe()}; raw sync rate of the disk ${syncs.toFixed(0)}/s (append 4 KiB, fdatasync)`,
    )
    return await measureOn(shelf, name, say)
  } finally {
    await shelf.close()
  }
}

async function measureOn(shelf: Shelf, name: LedgerName, say: (text: string) => void): Promise<string[]> {
  const home = join(directory, name)
  const started = performance.now()
  const original = await stock(shelf, join(home, 'stock'), outstanding)
  say(`${outstanding} leases were loaded in ${((performance.now() - started) / 1_000).toFixed(1)} s`)
  const missed: string[] = []
  for (const [family, run] of families(shelf, original, name, say)) {
    if (!family.startsWith(only)) continue
    const at = join(home, family)
    await mkdir(at, { recursive: true })
    for (const row of await run(at)) {
      const named = { ...row, name: `${name}/${row.name}` }
      print(line(named))
      if (!meetsBar(row)) missed.push(named.name)
    }
    await rm(at, { recursive: true, force: true })
  }
  return missed
}

type Families = readonly (readonly [family: string, run: (at: string) => Promise<Row[]>])[]

function families(shelf: Shelf, original: Place, name: LedgerName, say: (text: string) => void): Families {
  const common = { original, outstanding, say }
  const exchange = {
    ...(short ? { rounds: 3, requests: 500, warmUp: 4 } : { rounds: 15, requests: 1_500, warmUp: 24 }),
    // One commit for each request is all that such a disk can do.
    ...(name === 'slow' ? { requests: 600 } : {}),
  }
  const reap = short ? { rounds: 2, due: 1_000 } : { rounds: 3, due: 10_000 }
  const ends = short ? { windows: 3, seconds: 1, stuck: 1_000 } : { windows: 9, seconds: 2, stuck: 10_000 }
  return [
    ['exchange', at => benchExchange(shelf, at, { ...common, ...exchange })],
    [
      'policy',
      at => benchPolicy(shelf, at, { ...common, ...exchange, ...(short ? {} : { rounds: 5, warmUp: 12 }) }),
    ],
    ['reap', at => benchReap(shelf, at, { ...common, ...reap })],
    ['start', at => benchStart(shelf, at, { ...common, rounds: short ? 2 : 5 })],
    ['ends', at => benchEnds(shelf, at, { ...common, ...ends })],
  ]
}

/** This program once more, and whatever it starts, on a disk that takes its time. */
function measureSlow(say: (text: string) => void): string[] {
  const disk = slowSync(directory)
  if ('missing' in disk) {
    say(`not measured: a disk with a sync of ${SYNC_MS} ms ${disk.missing}`)
    return []
  }
  const again = [...process.execArgv, import.meta.filename, ...process.argv.slice(2), '--slow']
  const args = values.ledger === undefined ? [...again, '--ledger', 'slow'] : again
  const { status } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, ...disk.env },
  })
  if (status !== 0 && status !== MISSED) throw new Error('the part on the slow disk failed: see above')
  return status === 0 ? [] : ['slow']
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
