/** The process edge: arguments, environment, files, clock, randomness, signals. Nothing else touches them. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CommanderError } from 'commander'
import pino from 'pino'
import { createCalendar } from './calendar.ts'
import { createProgram } from './cli/program.ts'
import { CommandError, type Terminal } from './cli/terminal.ts'
import { ConfigError } from './config.ts'
import { kekFiles } from './keys/kek-files.ts'
import { KeyringError } from './keys/keyring-error.ts'
import type { Edge } from './server.ts'

const packageRoot = findPackageRoot(dirname(fileURLToPath(import.meta.url)))
const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }

const terminal: Terminal = {
  env: process.env,
  packageRoot,
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
  exitWith: code => {
    process.exitCode = code
  },
  onSignal(signal, run) {
    process.on(signal, run)
    return () => process.off(signal, run)
  },
  fetch: globalThis.fetch,
  async writeSecretFile(path, text) {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
  },
  edge: createEdge,
}

try {
  await createProgram(terminal, version).parseAsync(process.argv)
} catch (error) {
  process.exitCode = report(error)
}

function createEdge(logLevel = 'info'): Edge {
  const log = pino({ level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime })
  return {
    version,
    now: () => Date.now(),
    schedule(ms, run) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    everyDay: createCalendar(log),
    random: size => randomBytes(size),
    files: { readFile: path => readFile(path, 'utf8'), listDir: path => readdir(path) },
    kekFiles,
    log,
  }
}

/** What a person can act on is said without a stack; a fault of ours shows where it happened. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode
  const expected =
    error instanceof CommandError || error instanceof ConfigError || error instanceof KeyringError
  const known =
    expected || (error instanceof Error && ['LedgerInUse', 'LedgerUnavailable'].includes(error.name))
  process.stderr.write(
    `mayfly: ${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  return error instanceof CommandError ? error.exitCode : 1
}

function findPackageRoot(from: string): string {
  try {
    readFileSync(join(from, 'package.json'))
    return from
  } catch {
    return findPackageRoot(dirname(from))
  }
}
