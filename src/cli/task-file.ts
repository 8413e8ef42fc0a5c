/**
 * Where a task token is kept between commands: a file of mode 0600 that says which task of which broker it
 * belongs to, so that it is never sent anywhere else.
 */
import { isAbsolute, join } from 'node:path'
import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { isId } from '../keys/ids.ts'
import { checked, given } from './broker-url.ts'
import { readSecretFile, reserveSecretFile } from './secret-file.ts'
import { CommandError, errorCode, type Terminal, usageError } from './terminal.ts'

/** A task as its holder knows it. */
export type HeldTask = {
  broker: string
  id: string
  token: Secret
  /** Where its token is kept for other commands; absent: nowhere. */
  file?: string
}

export type TaskFileOption = { taskTokenFile?: string }

const fileShape = z.strictObject({ broker: z.string(), task: z.string(), task_token: z.string() })

export const TASK_FILE_HELP = `The task token is in a file of mode 0600, never on a terminal or a command line:
  --task-token-file FILE, MAYFLY_TASK_TOKEN_FILE, or by the task's id in
  $XDG_STATE_HOME/mayfly (~/.local/state/mayfly).`

/** @returns the path. @throws CommandError */
export async function writeTaskFile(
  terminal: Terminal,
  { broker, id, token }: HeldTask,
  { taskTokenFile }: TaskFileOption,
): Promise<string> {
  const path = taskTokenFile ?? given(terminal.env.MAYFLY_TASK_TOKEN_FILE) ?? pathOf(terminal, id)
  const file = await reserveSecretFile(terminal, path, {
    onExisting: 'It may hold the token of another task: end that one, or name another file.',
  })
  await file.commit(`${JSON.stringify({ broker, task: id, task_token: token.reveal() })}\n`)
  return path
}

/** The file that was named, or the task's own. @throws CommandError */
export function taskFilePath(terminal: Terminal, id: string | undefined, options: TaskFileOption): string {
  const path =
    options.taskTokenFile ?? (id === undefined ? given(terminal.env.MAYFLY_TASK_TOKEN_FILE) : undefined)
  if (path !== undefined) return path
  if (id === undefined)
    throw usageError(`which task? Give its id, or the file with its token.\n${TASK_FILE_HELP}`)
  if (!isId('tsk', id))
    throw usageError(`${JSON.stringify(id.slice(0, 60))} is not the id of a task (tsk_...)`)
  return pathOf(terminal, id)
}

/** @throws CommandError */
export async function readTaskFile(terminal: Terminal, path: string, id?: string): Promise<HeldTask> {
  const text = await readSecretFile(terminal, path).catch((error: unknown) => {
    throw isAbsent(error) ? noSuchFile(path, id) : error
  })
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    content = undefined
  }
  const parsed = fileShape.safeParse(content)
  if (!parsed.success || !isId('tsk', parsed.data.task))
    throw new CommandError(`${path} is not a file that mayfly task open wrote`)
  const { broker, task, task_token } = parsed.data
  if (id !== undefined && id !== task) throw usageError(`${path} belongs to task ${task}, not to ${id}`)
  return { broker: checked(broker), id: task, token: new Secret(task_token), file: path }
}

const isAbsent = (error: unknown): boolean =>
  error instanceof CommandError && errorCode(error.cause) === 'ENOENT'

/** The file goes with the task, so that most who miss it have ended that before. */
function noSuchFile(path: string, id: string | undefined): CommandError {
  const what = id === undefined ? 'the task whose token was in it' : `task ${id}`
  return new CommandError(
    `there is no ${path}: ${what} was ended from here already, or is not known here.\n` +
      '  Where its token is in another file, name that: --task-token-file FILE.\n' +
      `  What became of it is told to operators: mayfly trail ${id ?? 'TASK'}`,
  )
}

function pathOf({ env }: Pick<Terminal, 'env'>, id: string): string {
  const state = given(env.XDG_STATE_HOME)
  const user = given(env.HOME)
  // A relative path there is to be ignored (XDG Base Directory Specification).
  const home =
    state !== undefined && isAbsolute(state)
      ? state
      : user === undefined
        ? undefined
        : join(user, '.local', 'state')
  if (home === undefined)
    throw usageError('neither XDG_STATE_HOME nor HOME is set: name the file with --task-token-file')
  return join(home, 'mayfly', `${id}.json`)
}
