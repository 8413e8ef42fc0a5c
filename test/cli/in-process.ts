/** `mayfly` without a process of its own: the same program, over a terminal that a test looks into. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pino } from 'pino'
import { failureOf } from '../../src/cli/failure.ts'
import { createSecretFile, readAll, readFileWithMode } from '../../src/cli/files.ts'
import { createProgram } from '../../src/cli/program.ts'
import { CommandError, EXIT, type Terminal } from '../../src/cli/terminal.ts'
import { kekFiles } from '../../src/keys/kek-files.ts'
import type { Edge } from '../../src/open-core.ts'

const VERSION = '0.0.0-test'

export type InProcess = {
  /** What relative paths are from. */
  home: string
  env: Readonly<Record<string, string>>
  input: string
  out(text: string): void
  err(text: string): void
  /** What is otherwise than here: another clock, or a way to start programs. */
  terminal?: Partial<Terminal>
}

/** Runs a command to its end. @returns its exit code */
export async function runInProcess(args: readonly string[], given: InProcess): Promise<number> {
  let code: number = EXIT.ok
  const exitWith: Terminal['exitWith'] = wanted => {
    code = wanted
  }
  try {
    await createProgram({ ...terminalOf(given), exitWith }, VERSION).parseAsync(['node', 'mayfly', ...args])
    return code
  } catch (error) {
    const failure = failureOf(error)
    given.err(failure.said)
    return failure.code
  }
}

/** Of src/main.ts, less what only a process has: signals, and programs that it starts. */
function terminalOf({ home, env, input, out, err, terminal }: InProcess): Omit<Terminal, 'exitWith'> {
  const at = (path: string) => resolve(home, path)
  return {
    ...{ env, out, err, outIsTerminal: false, hasTerminal: false },
    packageRoot: join(import.meta.dirname, '../..'),
    self: [],
    onSignal: () => () => {},
    stopSelf: () => alone('to stand still'),
    random: size => randomBytes(size),
    now: () => Date.now(),
    schedule,
    fetch: globalThis.fetch,
    readFile: (path, maxBytes) => readFileWithMode(at(path), maxBytes),
    streams: () => alone('to speak over its streams'),
    readStdin: maxBytes => readAll(Readable.from([Buffer.from(input)]), maxBytes),
    createSecretFile: (path, options) => createSecretFile(at(path), options),
    removeFile: path => rm(at(path), { force: true }),
    makeFolder: () => mkdtemp(join(tmpdir(), 'mayfly-')),
    removeFolder: path => rm(path, { force: true, recursive: true }),
    run: () => alone('to run a program'),
    edge: async level => edgeOf(at, pino({ level: level ?? 'info', base: null }, { write: out })),
    ...terminal,
  }
}

function edgeOf(at: (path: string) => string, log: Edge['log']): Edge {
  return {
    version: VERSION,
    now: () => Date.now(),
    schedule,
    everyDay: () => () => {},
    random: size => randomBytes(size),
    files: { readFile: path => readFile(at(path), 'utf8'), listDir: path => readdir(at(path)) },
    kekFiles,
    log,
  }
}

function schedule(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

function alone(what: string): never {
  throw new Error(`the command wants ${what}: it takes a process of its own`)
}

/** A command line that is wrong, judged without a process: whatever it would do next has no way to. */
export async function refusedUsage(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; err: string }> {
  let err = ''
  const write = (text: string) => {
    err += text
  }
  const terminal = { env, outIsTerminal: false, out: write, err: write } as Partial<Terminal> as Terminal
  const program = createProgram(terminal, '0.0.0')
  try {
    await program.parseAsync(['node', 'mayfly', ...args])
  } catch (error) {
    if (error instanceof CommandError) return { code: error.exitCode, err: err + error.message }
    if (error instanceof Error && error.name === 'CommanderError') return { code: EXIT.usage, err }
    throw error
  }
  throw new Error('it was not refused')
}
