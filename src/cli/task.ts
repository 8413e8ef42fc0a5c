/** `mayfly task open | show | complete`: a task whose token is kept in a file between commands. */
import type { Outcome } from '../client/task-calls.ts'
import type { TaskAnswer } from './answers.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, brokerUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { type EvidenceOption, presentEvidence, readHuman } from './evidence.ts'
import { type PostureOption, readPosture } from './posture.ts'
import { note, printable, printJson, shortTime, showAsk } from './print.ts'
import { reserveSecretFile } from './secret-file.ts'
import { type HeldTask, readTaskFile, type TaskFileOption, taskFilePath, writeTaskFile } from './task-file.ts'
import {
  abandon,
  complete,
  describeLease,
  isPending,
  openTask,
  purposeOf,
  readTask,
  type TaskOptions,
  tellEnd,
  tellPending,
  untilQuiet,
  waitCommand,
} from './task-session.ts'
import { type Terminal, usageError } from './terminal.ts'

type JsonOption = { json?: boolean }

export type OpenOptions = BrokerOption &
  EvidenceOption &
  PostureOption &
  TaskOptions &
  TaskFileOption &
  JsonOption & { ask?: string[]; askJson?: string[] }

export async function taskOpen(terminal: Terminal, options: OpenOptions): Promise<void> {
  const asks = readAsks(options)
  const purpose = purposeOf(terminal, options.purpose, '')
  if (purpose === '') throw usageError('say what the task is for: --purpose "release 1.2.3"')
  const { file, task } = await openToFile(terminal, { ...options, purpose }, asks)
  if (options.json) return printJson(terminal, { task, task_token_file: file })
  terminal.out(
    `${task.id}\n  agent     ${printable(task.agent)}\n  deadline  ${shortTime(task.deadline)}\n  token in  ${file}\n` +
      tellPending(task)
        .map(line => `${line}\n`)
        .join('') +
      (task.asks.some(isPending) ? `Wait for them with: ${waitCommand(file)}\n` : '') +
      `End it with: mayfly task complete --task-token-file ${file}\n`,
  )
}

/** Opens a task and keeps its token in a file; a task whose token cannot be kept is ended again. */
export async function openToFile(
  terminal: Terminal,
  options: BrokerOption & EvidenceOption & PostureOption & TaskOptions & TaskFileOption & { purpose: string },
  asks: ReturnType<typeof readAsks>,
) {
  const client = createClient(terminal, brokerUrl(terminal, options))
  const evidence = await presentEvidence(terminal, client.url, options)
  const human = await readHuman(terminal, options)
  const statements = await readPosture(terminal, options)
  const { held, task } = await openTask(client, evidence, asks, { ...options, statements }, human)
  try {
    return { client, held, task, file: await writeTaskFile(terminal, held, options) }
  } catch (error) {
    await abandon(terminal, held.id, () => complete(client, held, 'failed', 'its token could not be kept'))
    throw error
  }
}

export async function taskShow(
  terminal: Terminal,
  id: string | undefined,
  options: TaskFileOption & JsonOption,
): Promise<void> {
  const held = await readTaskFile(terminal, taskFilePath(terminal, id, options), id)
  const task = await readTask(createClient(terminal, held.broker), held)
  if (options.json) return printJson(terminal, task)
  terminal.out(`${describe(task).join('\n')}\n`)
}

/** The file goes when there is nothing left to ask with it. */
export async function taskComplete(
  terminal: Terminal,
  id: string | undefined,
  options: TaskFileOption & JsonOption & { outcome: Outcome; detail?: string; receipt?: string },
): Promise<void> {
  const path = taskFilePath(terminal, id, options)
  const held = await readTaskFile(terminal, path, id)
  const client = createClient(terminal, held.broker)
  const ended = await complete(client, held, options.outcome, options.detail)
  const task = await untilQuiet(terminal, client, held, ended)
  const kept = options.receipt === undefined || (await keepReceipt(terminal, client, held, options.receipt))
  if (task.state === 'settled' && kept) await terminal.removeFile(path)
  if (options.json) return printJson(terminal, task)
  terminal.out(`${tellEnd(task).join('\n')}\n`)
  if (task.state !== 'settled') terminal.out(`Look again with: mayfly task show --task-token-file ${path}\n`)
}

/** @returns whether it is there; the token file stays where it is still to be fetched. */
async function keepReceipt(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  path: string,
): Promise<boolean> {
  const { waitForReceipt } = await import('./receipt.ts')
  const receipt = await waitForReceipt(terminal, client, held)
  if (receipt === undefined) {
    note(terminal, `there is no receipt yet; get it later with: mayfly receipt show --jws ${held.id}`)
    return false
  }
  const file = await reserveSecretFile(terminal, path, { onExisting: 'Name another file for the receipt.' })
  await file.commit(`${receipt}\n`)
  return true
}

function describe(task: TaskAnswer): string[] {
  const how = task.end === null ? task.state : `${task.state} (${task.end})`
  return [
    `${task.id} ${how}`,
    `  agent     ${printable(task.agent)}`,
    `  purpose   ${printable(task.purpose)}`,
    `  deadline  ${shortTime(task.deadline)}`,
    ...task.asks.map(
      ask => `  ask       ${ask.id} ${printable(ask.state)}: ${showAsk(ask.authorization_details)}`,
    ),
    ...task.credentials.map(lease => {
      if (lease.state === 'closed')
        return `  gone      ${lease.lease} ${showAsk(lease.authorization_details)}: ${lease.closed_as}`
      if (lease.state === 'active' && task.state === 'active')
        return `  holds     ${lease.lease} ${showAsk(lease.authorization_details)} until ${shortTime(lease.expires_at)}`
      return `  alive     ${describeLease(lease)}`
    }),
  ]
}
