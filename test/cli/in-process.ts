import { createProgram } from '../../src/cli/program.ts'
import { CommandError, EXIT, type Terminal } from '../../src/cli/terminal.ts'

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
