/** `mayfly` in this process: every command as it is, on a terminal that a test reads and writes. */
import { readFile, stat } from 'node:fs/promises'
import { createProgram } from '../../src/cli/program.ts'
import { CommandError, EXIT, type Terminal } from '../../src/cli/terminal.ts'

export type Ran = { code: number; out: string; err: string }

export async function mayfly(
  args: readonly string[],
  { env = {}, input = '' }: { env?: Record<string, string>; input?: string } = {},
): Promise<Ran> {
  const ran: Ran = { code: EXIT.ok, out: '', err: '' }
  const terminal = {
    ...{ env, packageRoot: '.', outIsTerminal: false, hasTerminal: false, self: ['mayfly'] },
    out: text => {
      ran.out += text
    },
    err: text => {
      ran.err += text
    },
    exitWith: code => {
      ran.code = code
    },
    onSignal: () => () => {},
    now: () => Date.now(),
    schedule(ms, run) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    fetch: globalThis.fetch,
    readFile: async path => ({ text: await readFile(path, 'utf8'), mode: (await stat(path)).mode }),
    readStdin: async () => input,
  } satisfies Partial<Terminal>
  try {
    // What these commands do not use is not there.
    await createProgram(terminal as Partial<Terminal> as Terminal, '0.0.0').parseAsync([
      'node',
      'mayfly',
      ...args,
    ])
  } catch (error) {
    if (error instanceof CommandError) return { ...ran, code: error.exitCode, err: ran.err + error.message }
    if (error instanceof Error && error.name === 'CommanderError') return { ...ran, code: EXIT.usage }
    throw error
  }
  return ran
}
