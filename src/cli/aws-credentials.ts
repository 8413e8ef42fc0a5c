/**
 * `mayfly aws-credentials`: one AWS session as `credential_process` wants it (AWS SDKs and Tools Reference Guide,
 * "Process credential provider"). SDKs start it once for each process and keep nothing between them, so the session
 * is the local server's, or one that is kept beside the file of its task.
 */
import { isDeepStrictEqual } from 'node:util'
import { kindOf } from '../sidecar/ask-kind.ts'
import { awsPartsOf } from '../sidecar/aws-parts.ts'
import { connectSidecar, type Sidecar, sidecarAddress } from '../sidecar/call.ts'
import type { CredentialBody } from '../sidecar/protocol.ts'
import { type AskDetail, formatAsk, readAsks } from './ask.ts'
import { type AwsSession, keptSession } from './aws-kept-session.ts'
import { given } from './broker-url.ts'
import { createClient } from './client.ts'
import { asking } from './local-tasks.ts'
import { readTaskFile, type TaskFileOption } from './task-file.ts'
import { mint, readTask } from './task-session.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

export type AwsOptions = TaskFileOption & { handle?: string; ask?: string[]; askJson?: string[] }

export async function awsCredentials(terminal: Terminal, options: AwsOptions): Promise<void> {
  const [ask, ...more] = readAsks(options)
  if (more.length > 0 || (ask !== undefined && options.handle !== undefined))
    throw usageError('one session is printed: name one --ask or one --handle')
  const file = options.taskTokenFile ?? given(terminal.env.MAYFLY_TASK_TOKEN_FILE)
  const address =
    options.taskTokenFile === undefined ? await asking(async () => sidecarAddress(terminal.env)) : undefined
  if (address === undefined && file === undefined)
    throw usageError(
      'there is no task to take a session from: run it under mayfly exec or mayfly agent (MAYFLY_SOCKET),\n' +
        '  or name the file of a task with --task-token-file or MAYFLY_TASK_TOKEN_FILE',
    )
  const wanted = { ask, handle: options.handle }
  const session =
    address === undefined
      ? await fromTaskFile(terminal, file ?? '', wanted)
      : await asking(() => fromSidecar(connectSidecar(address), wanted))
  print(terminal, session)
}

type Wanted = { ask: AskDetail | undefined; handle: string | undefined }

async function fromSidecar(sidecar: Sidecar, { ask, handle }: Wanted): Promise<AwsSession> {
  const { secret, expires_at, authorization_details } = await sidecar.credential(await choose())
  return { parts: secret, account: accountOf(authorization_details), expiresAt: expires_at }

  async function choose(): Promise<CredentialBody> {
    if (handle !== undefined) return { handle }
    const all = (await sidecar.tasks()).filter(task => task.state === 'active').flatMap(task => task.asks)
    const asks = all.map(one => ({ id: one.handle, authorization_details: one.authorization_details }))
    return { handle: theOne(asks, ask) }
  }
}

async function fromTaskFile(terminal: Terminal, path: string, { ask, handle }: Wanted): Promise<AwsSession> {
  const held = await readTaskFile(terminal, path)
  const client = createClient(terminal, held.broker)
  const kept = { terminal, path, token: held.token, name: handle ?? JSON.stringify(ask ?? 'the only one') }
  return keptSession(kept, async () => {
    const id = handle ?? theOne((await readTask(client, held)).asks, ask)
    const { answer, secret, format } = await mint(client, held, { ask: id })
    // What the parser says of a token that is no JSON would quote it.
    if (format !== 'json') throw noSession()
    return {
      parts: JSON.parse(secret.reveal()) as unknown,
      account: accountOf(answer.authorization_details),
      expiresAt: answer.expires_at,
    }
  })
}

/** The id of the ask that is meant: as it was asked, or the only one for AWS. @throws CommandError */
function theOne(
  asks: readonly { id: string; authorization_details: AskDetail }[],
  wanted: AskDetail | undefined,
): string {
  const fit = asks.filter(({ authorization_details: detail }) =>
    wanted === undefined ? kindOf(detail) === 'aws' : isSame(detail, wanted),
  )
  const [first, ...more] = fit
  if (first === undefined)
    throw new CommandError(
      wanted === undefined ? 'no task held here has asked for AWS' : 'no task held here has made this ask',
    )
  if (more.length === 0) return first.id
  throw usageError(
    `several asks could be meant; name one with --handle: ${fit.map(({ id }) => id).join(', ')}`,
  )
}

/** The broker writes out defaults, which the short form leaves away again. */
function isSame(detail: AskDetail, wanted: AskDetail): boolean {
  const [a, b] = [formatAsk(detail), formatAsk(wanted)]
  return a === undefined || b === undefined ? isDeepStrictEqual(detail, wanted) : a === b
}

function accountOf({ role }: AskDetail): string | undefined {
  return typeof role === 'string' ? /^arn:[^:]+:iam::(\d{12}):/.exec(role)?.[1] : undefined
}

/** The one place where it reveals a session: to stdout, which is what it is for. */
function print(terminal: Terminal, { parts: secret, account, expiresAt }: AwsSession): void {
  const parts = awsPartsOf(secret)
  if (parts === undefined) throw noSession()
  const { AccessKeyId, SecretAccessKey, SessionToken } = parts
  const Expiration = expiresAt
  const answer = { Version: 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration }
  terminal.out(`${JSON.stringify({ ...answer, ...(account !== undefined && { AccountId: account }) })}\n`)
}

const noSession = () => new CommandError('that ask is not one for an AWS session')
