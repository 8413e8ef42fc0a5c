/**
 * `mayfly` with an environment that holds nothing but what a test puts there: as a process of its own (`start`),
 * or in this one, where a process is not what is looked at.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { runInProcess } from './in-process.ts'

/** What Node made of the sources: half of a command's start is compiling them. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/mayfly')
const MAIN = join(import.meta.dirname, '../../src/main.ts')

export type Ran = { code: number | null; signal: NodeJS.Signals | null; out: string; err: string }

/** They are, or start, programs that stay. */
const PROCESSES: ReadonlySet<string | undefined> = new Set(['serve', 'demo', 'exec', 'agent'])

/** A command that has been started. */
export type Begun = {
  /** Resolves when what was written to stdout and stderr so far matches. @throws Error where it ends before. */
  says(pattern: RegExp): Promise<void>
  /** The first group of the pattern, once it was written. @throws Error where it ends before. */
  reads(pattern: RegExp): Promise<string>
  ended: Promise<Ran>
}

export type Running = Begun & { pid: number; kill(signal: NodeJS.Signals): void }

type Options = { env?: Record<string, string>; input?: string }

export type Shell = {
  /** A folder of its own, its HOME too. */
  home: string
  env: Record<string, string>
  /** As a process of its own. */
  start(args: readonly string[], options?: Options): Running
  /** In this process, as is all that follows but for the commands that are about processes. */
  begin(args: readonly string[], options?: Options): Begun
  run(args: readonly string[], options?: Options): Promise<Ran>
  /** Runs, and expects the exit code. */
  ok(args: readonly string[], options?: Options): Promise<Ran>
  fails(code: number, args: readonly string[], options?: Options): Promise<Ran>
  close(): Promise<void>
}

export async function createShell(env: Record<string, string> = {}): Promise<Shell> {
  const home = await mkdtemp(join(tmpdir(), 'mayfly-cli-'))
  const base = {
    PATH: process.env.PATH ?? '',
    HOME: home,
    TMPDIR: tmpdir(),
    NODE_COMPILE_CACHE: COMPILED,
    ...env,
  }

  const start: Shell['start'] = (args, { env: more = {}, input = '' } = {}) => {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: home, env: { ...base, ...more } })
    const screen = createScreen()
    child.stdout.setEncoding('utf8').on('data', screen.out)
    child.stderr.setEncoding('utf8').on('data', screen.err)
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.once('close', screen.end)
    return { ...screen.begun, pid: child.pid!, kill: signal => void child.kill(signal) }
  }
  const begin: Shell['begin'] = (args, { env: more = {}, input = '' } = {}) => {
    const screen = createScreen()
    const { out, err } = screen
    void runInProcess(args, { ...{ home, input, out, err }, env: { ...base, ...more } }).then(screen.end)
    return screen.begun
  }
  const run: Shell['run'] = (args, options) => (PROCESSES.has(args[0]) ? start : begin)(args, options).ended
  async function withCode(code: number, ran: Promise<Ran>): Promise<Ran> {
    const last = await ran
    expect(last.code, `${last.out}\n${last.err}`).toBe(code)
    return last
  }
  return {
    home,
    env: base,
    start,
    begin,
    run,
    ok: (args, options) => withCode(0, run(args, options)),
    fails: (code, args, options) => withCode(code, run(args, options)),
    close: () => rm(home, { recursive: true, force: true }),
  }
}

/** What a command writes, and who waits for it. */
function createScreen() {
  const ran: Ran = { code: null, signal: null, out: '', err: '' }
  const { promise: ended, resolve } = Promise.withResolvers<Ran>()
  let look = () => {}
  const says: Begun['says'] = pattern =>
    new Promise((matched, reject) => {
      look = () => {
        if (pattern.test(ran.out + ran.err)) matched()
      }
      look()
      void ended.then(last => reject(new Error(`it ended without saying so: ${last.out}${last.err}`)))
    })
  const reads: Begun['reads'] = async pattern => {
    await says(pattern)
    return pattern.exec(ran.out + ran.err)?.[1] ?? ''
  }
  return {
    begun: { says, reads, ended } satisfies Begun,
    out(text: string) {
      ran.out += text
      look()
    },
    err(text: string) {
      ran.err += text
      look()
    },
    end: (code: number | null, signal: NodeJS.Signals | null = null) => resolve({ ...ran, code, signal }),
  }
}

/** A program for `exec`: JavaScript, run by this Node. */
export function script(code: string): string[] {
  return ['--', process.execPath, '-e', code]
}

export async function readJson(path: string): Promise<Record<string, string>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, string>
}
