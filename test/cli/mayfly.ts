/** `mayfly` as a process of its own, with an environment that holds nothing but what a test puts there. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'

/** What Node made of the sources: half of a command's start is compiling them. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/mayfly')
const MAIN = join(import.meta.dirname, '../../src/main.ts')

export type Ran = { code: number | null; signal: NodeJS.Signals | null; out: string; err: string }

export type Running = {
  pid: number
  /** Resolves when what was written to stdout and stderr so far matches. @throws Error where it ends before. */
  says(pattern: RegExp): Promise<void>
  /** The first group of the pattern, once it was written. @throws Error where it ends before. */
  reads(pattern: RegExp): Promise<string>
  kill(signal: NodeJS.Signals): void
  ended: Promise<Ran>
}

export type Shell = {
  /** A folder of its own, its HOME too. */
  home: string
  env: Record<string, string>
  start(args: readonly string[], options?: { env?: Record<string, string>; input?: string }): Running
  run(args: readonly string[], options?: { env?: Record<string, string>; input?: string }): Promise<Ran>
  /** Runs, and expects the exit code. */
  ok(args: readonly string[], options?: { env?: Record<string, string>; input?: string }): Promise<Ran>
  fails(code: number, args: readonly string[], options?: { env?: Record<string, string> }): Promise<Ran>
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

  function start(args: readonly string[], { env: more = {}, input = '' } = {}): Running {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: home, env: { ...base, ...more } })
    const ran: Ran = { code: null, signal: null, out: '', err: '' }
    let look = () => {}
    child.stdout.setEncoding('utf8').on('data', text => {
      ran.out += text
      look()
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      ran.err += text
      look()
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const says: Running['says'] = pattern =>
      new Promise((resolve, reject) => {
        look = () => {
          if (pattern.test(ran.out + ran.err)) resolve()
        }
        look()
        void ended.then(last => reject(new Error(`it ended without saying so: ${last.out}${last.err}`)))
      })
    const ended = new Promise<Ran>(resolve => {
      child.once('close', (code, signal) => resolve({ ...ran, code, signal }))
    })
    return {
      pid: child.pid!,
      says,
      async reads(pattern) {
        await says(pattern)
        return pattern.exec(ran.out + ran.err)?.[1] ?? ''
      },
      kill: signal => void child.kill(signal),
      ended,
    }
  }
  const run: Shell['run'] = (args, options) => start(args, options).ended
  async function withCode(code: number, ran: Promise<Ran>): Promise<Ran> {
    const last = await ran
    expect(last.code, `${last.out}\n${last.err}`).toBe(code)
    return last
  }
  return {
    home,
    env: base,
    start,
    run,
    ok: (args, options) => withCode(0, run(args, options)),
    fails: (code, args, options) => withCode(code, run(args, options)),
    close: () => rm(home, { recursive: true, force: true }),
  }
}

/** A program for `exec`: JavaScript, run by this Node. */
export function script(code: string): string[] {
  return ['--', process.execPath, '-e', code]
}

export async function readJson(path: string): Promise<Record<string, string>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, string>
}
