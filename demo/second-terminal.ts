/**
 * A terminal on a human's machine: the command line itself, in this process, with a home of its own. Where it
 * asks for a sign-in, that human signs in at their identity provider, by HTTP, as with a browser.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CommanderError } from 'commander'
import { createProgram } from '../src/cli/program.ts'
import { CommandError, EXIT, type Terminal } from '../src/cli/terminal.ts'
import type { Human } from '../test/fakes/identity/human.ts'

export type Ran = {
  /** The exit code. */
  code: number
  /** What stood on the screen. */
  text: string
}

export type SecondTerminal = {
  /** Of the human. */
  who: string
  /** `mayfly` with these arguments. */
  mayfly(...args: string[]): Promise<Ran>
}

type World = {
  who: string
  human: Human
  brokerUrl: string
  /** A folder that only this human has. */
  home: string
  now: () => number
}

export function secondTerminal(world: World): SecondTerminal {
  return { who: world.who, mayfly: (...args) => run(world, args) }
}

async function run(world: World, args: readonly string[]): Promise<Ran> {
  const screen: string[] = []
  const ran = { code: EXIT.ok as number }
  const { promise: failed, reject } = Promise.withResolvers<never>()
  failed.catch(() => {})
  const terminal: Terminal = {
    ...machine(world),
    out: text => void screen.push(text),
    err(text) {
      const address = ADDRESS.exec(text)?.[1]
      if (address === undefined) return void screen.push(text)
      screen.push(`mayfly: sign in at ${new URL(address).origin}\n`)
      world.human.visit(address).catch(reject)
    },
    exitWith(code) {
      ran.code = code
    },
  }
  try {
    await Promise.race([createProgram(terminal, '0.0.0').parseAsync(['node', 'mayfly', ...args]), failed])
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof CommanderError)) throw error
    screen.push(`mayfly: ${error.message}\n`)
    ran.code = error.exitCode
  }
  return { ...ran, text: screen.join('') }
}

const ADDRESS = /sign in at:\n\s+(\S+)/

/** Everything of a terminal but its screen. */
function machine({ brokerUrl, home, now }: World): Omit<Terminal, 'out' | 'err' | 'exitWith'> {
  return {
    env: { HOME: home, MAYFLY_OPERATOR_URL: brokerUrl },
    packageRoot: home,
    outIsTerminal: false,
    hasTerminal: false,
    onSignal: () => () => {},
    now,
    schedule(ms, run) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    fetch: globalThis.fetch,
    readFile: async path => ({ text: await readFile(path, 'utf8'), mode: (await stat(path)).mode }),
    readStdin: async () => '',
    async createSecretFile(path) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      return { commit: text => writeFile(path, text, { mode: 0o600 }), discard: async () => {} }
    },
    removeFile: path => rm(path, { force: true }),
    run() {
      throw new Error('no program is started from here')
    },
    edge() {
      throw new Error('no broker is started from here')
    },
  }
}
