import { previewAnswer, type RevocationStatusAnswer, revocationStatusAnswer } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { note, printJson } from './print.ts'
import {
  demandMatch,
  type FilterOptions,
  isUnderWay,
  matchedBy,
  reachedBy,
  readFilter,
  tellBlock,
  tellPreview,
  tellStatus,
} from './revocation.ts'
import { EXIT, sleep, type Terminal, usageError } from './terminal.ts'

export type RevokeOptions = BrokerOption &
  OperatorTokenOption &
  FilterOptions & {
    reason: string
    hold?: boolean
    unregistered?: boolean
    dryRun?: boolean
    watchSeconds?: number
    offline?: boolean
    config?: string
    json?: boolean
  }

/** `mayfly revoke`: ends tasks, or takes credentials back, whatever is going on, and watches them die. */
export async function revoke(terminal: Terminal, options: RevokeOptions): Promise<void> {
  const filter = readFilter(options)
  const { reason, hold = false, unregistered = false, dryRun = false, json } = options
  if (hold && dryRun) throw usageError('--dry-run changes nothing: it cannot --hold')
  if (unregistered && !hold)
    throw usageError('--unregistered goes with --hold: of what is not registered there is nothing to end')
  if (options.offline === true) {
    const { revokeOffline } = await import('./revoke-offline.ts')
    return revokeOffline(terminal, filter, options)
  }
  if (options.config !== undefined)
    throw usageError('--config belongs to --offline; a running broker is found by --broker')
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const everything = Object.keys(filter).length === 0 ? { everything: true } : {}
  const call = {
    method: 'POST',
    path: '/v1/revocations',
    token,
    whenLost: 'repeat',
    body: { ...filter, ...everything, reason, hold, unregistered, dry_run: dryRun },
  } as const
  if (dryRun) {
    const preview = await client.call(call, previewAnswer)
    if (json) printJson(terminal, preview)
    else terminal.out(tellPreview(preview))
    return demandMatch(filter, matchedBy(preview))
  }
  const { watchSeconds = CLI_LIMITS.revokeWatchSeconds } = options
  const begun = await client.call(call, revocationStatusAnswer)
  const status = await watch(terminal, client, token, begun, watchSeconds)
  if (json) printJson(terminal, status)
  else terminal.out(`${tellStatus(status)}\n${tellBlock(status)}`)
  if (!isUnderWay(status)) return demandMatch(filter, reachedBy(status))
  note(terminal, `it goes on without this command; watch it with: mayfly revocations ${status.id}`)
  terminal.exitWith(EXIT.unavailable)
}

/** Until nothing more is to be expected soon; what changes meanwhile is told. */
async function watch(
  terminal: Terminal,
  client: Client,
  token: Parameters<Client['call']>[0]['token'] & object,
  first: RevocationStatusAnswer,
  seconds: number,
): Promise<RevocationStatusAnswer> {
  const until = terminal.now() + seconds * 1_000
  let status = first
  let told = ''
  while (isUnderWay(status) && terminal.now() < until) {
    const line = tellStatus(status)
    if (line !== told) note(terminal, line)
    told = line
    await sleep(terminal, CLI_LIMITS.revokePollMs)
    const path = `/v1/revocations/${first.id}`
    status = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, revocationStatusAnswer)
  }
  return status
}
