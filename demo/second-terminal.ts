/**
 * A terminal on another machine: the command line itself, in this process, with a home of its own. Where it asks
 * for a sign-in, its human signs in at their identity provider, by HTTP, as with a browser.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { ChildEnd, Terminal } from '../src/cli/terminal.ts'
import { runInProcess } from '../test/cli/in-process.ts'
import type { Human } from '../test/fakes/identity/human.ts'

export type Ran = {
  /** The exit code. */
  code: number
  /** What stood on the screen. */
  text: string
}

export type SecondTerminal = {
  /** Whose it is. */
  who: string
  /** `mayfly` with these arguments. */
  mayfly(...args: string[]): Promise<Ran>
  /** The same with this on standard input. */
  piped(input: string, ...args: string[]): Promise<Ran>
}

type World = {
  who: string
  /** Who signs in there; nobody does at the terminal of a job. */
  human?: Human
  /** A folder that only they have. */
  home: string
  env: Readonly<Record<string, string>>
  now: () => number
}

export function secondTerminal(world: World): SecondTerminal {
  return {
    who: world.who,
    mayfly: (...args) => run(world, args, ''),
    piped: (input, ...args) => run(world, args, input),
  }
}

async function run({ human, home, env, now }: World, args: readonly string[], input: string): Promise<Ran> {
  const screen: string[] = []
  const out = (text: string) => void screen.push(text)
  const { promise: failed, reject } = Promise.withResolvers<never>()
  failed.catch(() => {})
  const err = (text: string) => {
    const address = ADDRESS.exec(text)?.[1]
    if (address === undefined || human === undefined) return out(text)
    out(`mayfly: sign in at ${new URL(address).origin}\n`)
    human.visit(address).catch(reject)
  }
  const terminal: Partial<Terminal> = { now, self: SELF, run: starter(home, out) }
  const given = { home, env: { HOME: home, ...env }, input, out, err, terminal }
  const code = await Promise.race([runInProcess(args, given), failed])
  return { code, text: screen.join('') }
}

const ADDRESS = /sign in at:\n\s+(\S+)/
/** How a program that is started from there starts `mayfly` itself. */
const SELF = [process.execPath, join(import.meta.dirname, '../bin/mayfly.js')]

/** As a terminal starts programs, with what they print on the same screen. */
function starter(cwd: string, out: (text: string) => void): Terminal['run'] {
  return (command, args, env) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', out)
    const ended = new Promise<ChildEnd>(resolve => {
      child.once('error', error => resolve({ how: 'failed', error }))
      child.once('close', (code, signal) =>
        resolve(signal === null ? { how: 'exited', code: code ?? 1 } : { how: 'signalled', signal }),
      )
    })
    return { signal: signal => void child.kill(signal), ended }
  }
}
