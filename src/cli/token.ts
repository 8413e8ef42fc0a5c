import { declared } from '../client/task-calls.ts'
import type { Minted } from './answers.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, given } from './broker-url.ts'
import { createClient } from './client.ts'
import type { EvidenceOption } from './evidence.ts'
import { CLI_LIMITS } from './limits.ts'
import type { PostureOption } from './posture.ts'
import { note, printJson, shortTime } from './print.ts'
import { openToFile } from './task.ts'
import { readTaskFile, type TaskFileOption } from './task-file.ts'
import {
  abandon,
  complete,
  demandAnswers,
  isPending,
  mint,
  purposeOf,
  type TaskOptions,
} from './task-session.ts'
import { type Terminal, usageError } from './terminal.ts'

export type TokenOptions = BrokerOption &
  EvidenceOption &
  PostureOption &
  TaskOptions &
  TaskFileOption & {
    ask?: string[]
    askJson?: string[]
    /** Of an ask that the task made before. */
    askId?: string
    waitSeconds?: number
    print?: boolean
    json?: boolean
  }

/**
 * `mayfly token`: one credential on stdout, for another program to read. With a task's file it is that task's;
 * without one a task is opened that lives on until its deadline, or until somebody ends it. Where humans are asked
 * first it waits for them.
 */
export async function token(terminal: Terminal, options: TokenOptions): Promise<void> {
  const [ask, ...more] = readAsks(options)
  const { askId, waitSeconds = CLI_LIMITS.answerSeconds } = options
  if (more.length > 0 || (ask === undefined) === (askId === undefined))
    throw usageError('token prints one credential: give it one --ask, or the --ask-id of one that was made')
  if (terminal.outIsTerminal && options.print !== true)
    throw usageError(
      'the credential would be shown on this terminal.\n' +
        '  Pipe it into the program that needs it, use mayfly exec, or say --print.',
    )
  const named = options.taskTokenFile ?? given(terminal.env.MAYFLY_TASK_TOKEN_FILE)
  if (named !== undefined) {
    const held = await readTaskFile(terminal, named)
    const client = createClient(terminal, held.broker)
    const what =
      ask === undefined
        ? { ask: askId ?? '' }
        : { authorization_details: [ask] as [typeof ask], ...declared(options) }
    return print(terminal, await mint(client, held, what), options.json)
  }
  if (ask === undefined) throw usageError('--ask-id is of a task: name its --task-token-file')

  const purpose = purposeOf(terminal, options.purpose, `mayfly token for ${ask.type}`)
  const { client, held, task, file } = await openToFile(terminal, { ...options, purpose }, [ask])
  try {
    const say = (text: string) => note(terminal, text)
    if (task.asks.some(isPending)) await demandAnswers(terminal, client, held, { seconds: waitSeconds, say })
    const minted = await mint(client, held, { ask: task.asks[0]?.id ?? '' })
    note(terminal, `task ${held.id} lives until ${shortTime(task.deadline)}, and the credential no longer.`)
    note(terminal, `end both with: mayfly task complete --task-token-file ${file}`)
    print(terminal, minted, options.json)
  } catch (error) {
    await abandon(terminal, held.id, () => complete(client, held, 'failed', 'its credential was not minted'))
    await terminal.removeFile(file)
    throw error
  }
}

/** The one place where `token` reveals a credential: to stdout, which is what it is for. */
function print(terminal: Terminal, { answer, secret, format }: Minted, json: boolean | undefined): void {
  const text = secret.reveal()
  const whole = { ...answer, credential: format === 'json' ? (JSON.parse(text) as object) : text }
  if (json) printJson(terminal, whole)
  else terminal.out(`${format === 'json' ? credentialProcess(text) : text}\n`)
}

/**
 * Several parts come as JSON. An AWS session gets the version that makes it an answer to `credential_process`
 * (AWS SDKs and Tools Reference Guide, "Process credential provider").
 */
function credentialProcess(text: string): string {
  const parts = JSON.parse(text) as Record<string, unknown>
  return JSON.stringify('AccessKeyId' in parts ? { Version: 1, ...parts } : parts)
}
