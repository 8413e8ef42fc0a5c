/** The process edge: arguments, environment, files, clock, randomness, signals. Nothing else touches them. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { certifiedFetch } from './cli/certified-fetch.ts'
import { failureOf } from './cli/failure.ts'
import { createSecretFile, readAll, readFileWithMode } from './cli/files.ts'
import { createProgram } from './cli/program.ts'
import type { Child, ChildEnd, Terminal } from './cli/terminal.ts'
import { kekFiles } from './keys/kek-files.ts'
import type { Edge } from './open-core.ts'

const packageRoot = findPackageRoot(dirname(fileURLToPath(import.meta.url)))
const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }

const terminal: Terminal = {
  env: process.env,
  packageRoot,
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
  outIsTerminal: process.stdout.isTTY === true,
  hasTerminal: [process.stdin, process.stdout, process.stderr].some(stream => stream.isTTY === true),
  exitWith: code => {
    process.exitCode = code
  },
  onSignal(signal, run) {
    process.on(signal, run)
    return () => process.off(signal, run)
  },
  self: [process.execPath, join(packageRoot, 'bin', 'mayfly.js')],
  stopSelf: () => void process.kill(process.pid, 'SIGSTOP'),
  random: size => randomBytes(size),
  now: () => Date.now(),
  schedule,
  fetch: certifiedFetch(process.env, globalThis.fetch),
  readFile: readFileWithMode,
  streams: () => ({ input: process.stdin, output: process.stdout }),
  readStdin: maxBytes => readAll(process.stdin, maxBytes),
  createSecretFile,
  removeFile: path => rm(path, { force: true }),
  makeFolder,
  removeFolder: path => rm(path, { force: true, recursive: true }),
  run,
  edge: createEdge,
}

// A reader that has seen enough (`| head`) is no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  await createProgram(terminal, version).parseAsync(process.argv)
} catch (error) {
  const { code, said } = failureOf(error)
  process.stderr.write(said)
  process.exitCode = code
}

/**
 * Ids and nonces are drawn from a block, each byte once and erased as it is given: a call into the system's
 * generator for each costs more than making the id. Keys and tokens are drawn by themselves.
 */
function createRandom(): Edge['random'] {
  let block = new Uint8Array(0)
  let at = 0
  return size => {
    if (size > 16) return randomBytes(size)
    if (block.length - at < size) {
      // A copy: what a Buffer calls a slice is the same memory.
      block = new Uint8Array(randomBytes(4_096))
      at = 0
    }
    const drawn = block.slice(at, at + size)
    block.fill(0, at, at + size)
    at += size
    return drawn
  }
}

async function createEdge(logLevel = 'info'): Promise<Edge> {
  const [{ pino }, { createCalendar }, { createProcessTrace }] = await Promise.all([
    import('pino'),
    import('./calendar.ts'),
    import('./open-telemetry.ts'),
  ])
  const log = pino({ level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime })
  return {
    version,
    now: () => Date.now(),
    schedule,
    everyDay: createCalendar(log),
    random: createRandom(),
    workloadApi: process.env.SPIFFE_ENDPOINT_SOCKET,
    files: { readFile: path => readFile(path, 'utf8'), listDir: path => readdir(path) },
    kekFiles,
    log,
    trace: createProcessTrace(version),
  }
}

function schedule(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

/** mkdtemp's folders are of mode 0700. A socket's path is short, so it goes where paths are. */
async function makeFolder(): Promise<string> {
  const { XDG_RUNTIME_DIR: runtime } = process.env
  try {
    return await mkdtemp(join(runtime || tmpdir(), 'mayfly-'))
  } catch {
    return mkdtemp(join(tmpdir(), 'mayfly-'))
  }
}

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Child {
  const child = spawn(command, args, { stdio: 'inherit', env })
  const ended = new Promise<ChildEnd>(resolve => {
    child.once('error', error => {
      if (child.pid === undefined) resolve({ how: 'failed', error })
    })
    child.once('exit', (code, signal) =>
      resolve(signal === null ? { how: 'exited', code: code ?? 1 } : { how: 'signalled', signal }),
    )
  })
  return { signal: signal => void child.kill(signal), ended }
}

function findPackageRoot(from: string): string {
  try {
    readFileSync(join(from, 'package.json'))
    return from
  } catch {
    return findPackageRoot(dirname(from))
  }
}
