/** `--posture-file`: statements about where this workload runs, from files that somebody keeps fresh. */
import { MayflyError } from '../client/mayfly-error.ts'
import { type Statement, statementFrom } from '../client/posture.ts'
import { CLI_LIMITS } from './limits.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

export type PostureOption = { postureFile?: string[] }

/** Read anew each time. @throws CommandError */
export async function readPosture(
  terminal: Pick<Terminal, 'readFile'>,
  { postureFile: files = [] }: PostureOption,
): Promise<Statement[]> {
  return Promise.all(files.map(file => readStatement(terminal, file)))
}

async function readStatement(terminal: Pick<Terminal, 'readFile'>, file: string): Promise<Statement> {
  try {
    return statementFrom((await terminal.readFile(file, CLI_LIMITS.statementBytes)).text, file)
  } catch (cause) {
    const why =
      cause instanceof MayflyError
        ? cause.message
        : `the statement in ${file} cannot be read (${errorCode(cause)})`
    throw new CommandError(why, { cause })
  }
}
