/** `mayfly receipt show`: what is proven of a task, from the broker or from a file. */
import { z } from 'zod'
import { receiptCall, type TaskKey } from '../client/task-calls.ts'
import type { Receipt, ReceiptCredential } from '../receipts/receipt.ts'
import { readReceipt } from '../receipts/verify-receipt.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, showAsk } from './print.ts'
import { BrokerRefusal } from './refusal.ts'
import { type HeldTask, readTaskFile, type TaskFileOption, taskFilePath } from './task-file.ts'
import { CommandError, errorCode, sleep, type Terminal, usageError } from './terminal.ts'

export type ShowOptions = BrokerOption &
  OperatorTokenOption &
  TaskFileOption & { file?: string; jws?: boolean; json?: boolean }

const receiptAnswer = z.looseObject({ task: z.string(), receipt: z.string() })

export async function receiptShow(
  terminal: Terminal,
  id: string | undefined,
  options: ShowOptions,
): Promise<void> {
  if (options.file !== undefined && id !== undefined)
    throw usageError('a receipt comes from a file or from the broker: give --file or a task, not both')
  const jws =
    options.file === undefined
      ? await fetchReceipt(terminal, id, options)
      : await readReceiptFile(terminal, options.file)
  if (options.jws === true) return terminal.out(`${jws}\n`)
  const receipt = readReceipt(jws)
  if (receipt === undefined) throw new CommandError('this is not a receipt that this version of mayfly knows')
  if (options.json === true) return printJson(terminal, receipt)
  terminal.out(`${describe(receipt).join('\n')}\n`)
  terminal.out('The signature was not checked here: mayfly receipt verify does, without the broker.\n')
}

async function fetchReceipt(
  terminal: Terminal,
  id: string | undefined,
  options: ShowOptions,
): Promise<string> {
  if (options.operatorTokenFile !== undefined) {
    if (id === undefined) throw usageError('which task? Give its id.')
    return fetchAsOperator(terminal, { id, token: await readOperatorToken(terminal, options) }, options)
  }
  let held: HeldTask
  try {
    held = await readTaskFile(terminal, taskFilePath(terminal, id, options), id)
  } catch (error) {
    // Whoever has no token of the task may be an operator; who is neither is told of the task's.
    if (id === undefined || options.taskTokenFile !== undefined) throw error
    const token = await readOperatorToken(terminal, options).catch(() => Promise.reject(error))
    return fetchAsOperator(terminal, { id, token }, options)
  }
  return askFor(createClient(terminal, held.broker), held)
}

function fetchAsOperator(terminal: Terminal, task: TaskKey, options: BrokerOption): Promise<string> {
  return askFor(createClient(terminal, operatorUrl(terminal, options)), task)
}

async function askFor(client: Client, task: TaskKey): Promise<string> {
  const answer = await client.call(receiptCall(task), receiptAnswer)
  return answer.receipt
}

/** The receipt of a task that is settled, or about to be; undefined where it takes longer. */
export async function waitForReceipt(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
): Promise<string | undefined> {
  const until = terminal.now() + CLI_LIMITS.settleMs
  for (;;) {
    try {
      return await askFor(client, held)
    } catch (error) {
      if (!(error instanceof BrokerRefusal) || error.code !== 'receipt_not_ready') throw error
      if (terminal.now() >= until) return undefined
      await sleep(terminal, CLI_LIMITS.settlePollMs)
    }
  }
}

/** The compact JWS in a file, as it was written: one line. @throws CommandError */
export async function readReceiptFile(terminal: Pick<Terminal, 'readFile'>, path: string): Promise<string> {
  const { text } = await terminal.readFile(path, CLI_LIMITS.answerBytes).catch(cause => {
    throw new CommandError(`${path} cannot be read (${errorCode(cause)})`, { cause })
  })
  return text.replace(/\r?\n$/, '')
}

export function describe(receipt: Receipt): string[] {
  const { task, summary } = receipt
  const { owner } = task.agent
  const owners = owner === null ? '' : ` (${owner.business}, ${owner.technical})`
  return [
    `${task.id} ${task.end}, settled ${shortTime(task.settled_at)}`,
    `  broker    ${printable(receipt.iss)}`,
    `  agent     ${printable(task.agent.name + owners)}`,
    `  purpose   ${printable(task.purpose)}`,
    `  ended     ${shortTime(task.ended_at)}${task.end_detail === null ? '' : `, ${printable(task.end_detail)}`}`,
    ...receipt.credentials.flatMap(describeCredential),
    ...(receipt.credentials_omitted === 0
      ? []
      : [`  and ${count(receipt.credentials_omitted, 'credential')} more, in the summary only`]),
    ...receipt.children.map(child => `  child     ${child.task}, receipt ${child.receipt_sha256}`),
    `  ${count(summary.credentials, 'credential')}: ${summary.confirmed_dead} seen dead, ` +
      `${summary.expired} expired, ${summary.expired_unconfirmed} NOT CONFIRMED, ` +
      `${summary.never_minted} never minted; ${summary.may_have_left_access} could have left access behind`,
  ]
}

function describeCredential(credential: ReceiptCredential): string[] {
  const flags = credential.flags.length === 0 ? '' : ` [${credential.flags.join(', ')}]`
  return [
    `  held      ${credential.lease} ${showAsk(credential.authorization_details)}${flags}`,
    `            ${describeDeath(credential)}`,
  ]
}

function describeDeath({ death, past_end_ms: past }: ReceiptCredential): string {
  const at = shortTime(death.at)
  switch (death.basis) {
    case 'never_minted':
      return 'never came to be'
    case 'expired':
      return `stopped by itself at ${at}; nobody could end it before`
    case 'expired_unconfirmed':
      return `NOT CONFIRMED: it may have worked until ${at}`
    case 'confirmed':
      if (death.for === 'everyone') return `seen dead at ${at}, ${past} ms past the end`
      return (
        `dead at ${at} for whoever introspects it` +
        (death.offline_verifiers_until === null
          ? ''
          : `; who checks only its signature takes it until ${shortTime(death.offline_verifiers_until)}`)
      )
  }
}
