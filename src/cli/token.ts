import { declared } from '../client/task-calls.ts'
import type { Minted } from './answers.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, given } from './broker-url.ts'
import { createClient } from './client.ts'
import type { EvidenceOption } from './evidence.ts'
import { note, printJson, shortTime } from './print.ts'
import { openToFile } from './task.ts'
import { readTaskFile, type TaskFileOption } from './task-file.ts'
import { abandon, mint, purposeOf, type TaskOptions } from './task-session.ts'
import { type Terminal, usageError } from './terminal.ts'

export type TokenOptions = BrokerOption &
  EvidenceOption &
  TaskOptions &
  TaskFileOption & { ask?: string[]; askJson?: string[]; print?: boolean; json?: boolean }

/**
 * `mayfly token`: one credential on stdout, for another program to read. With a task's file it is that task's;
 * without one a task is opened that lives on until its deadline, or until somebody ends it.
 */
export async function token(terminal: Terminal, options: TokenOptions): Promise<void> {
  const [ask, ...more] = readAsks(options)
  if (ask === undefined || more.length > 0) throw usageError('token prints one credential: give it one --ask')
  if (terminal.outIsTerminal && options.print !== true)
    throw usageError(
      'the credential would be shown on this terminal.\n' +
        '  Pipe it into the program that needs it, use mayfly exec, or say --print.',
    )
  const named = options.taskTokenFile ?? given(terminal.env.MAYFLY_TASK_TOKEN_FILE)
  if (named !== undefined) {
    const held = await readTaskFile(terminal, named)
    const minted = await mint(createClient(terminal, held.broker), held, {
      authorization_details: [ask],
      ...declared(options),
    })
    return print(terminal, minted, options.json)
  }

  const purpose = purposeOf(terminal, options.purpose, `mayfly token for ${ask.type}`)
  const { client, held, task, file } = await openToFile(terminal, { ...options, purpose }, [ask])
  try {
    const minted = await mint(client, held, { ask: task.asks[0]?.id ?? '' })
    note(terminal, `task ${held.id} lives until ${shortTime(task.deadline)}, and the credential no longer.`)
    note(terminal, `end both with: mayfly task complete --task-token-file ${file}`)
    print(terminal, minted, options.json)
  } catch (error) {
    await abandon(terminal, client, held, 'its credential was not minted')
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
