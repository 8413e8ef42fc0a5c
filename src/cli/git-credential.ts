/**
 * `mayfly git-credential get | store | erase`: git asks for a user name and a password, and gets a token of the
 * task for that repository (gitcredentials(7)). Whatever is not the task's is left to other helpers, in silence.
 */
import { createHash } from 'node:crypto'
import type { Secret } from '../../issuers/shared/secret.ts'
import { type SidecarAddress, sidecarAddress } from '../sidecar/call.ts'
import { type GitTarget, isPrivateTarget } from '../sidecar/git-repository.ts'
import { given } from './broker-url.ts'
import { type CredentialRequest, parseCredentialRequest } from './git-credential-request.ts'
import { sidecarSource } from './git-credential-sidecar.ts'
import type { CredentialSource, GitAnswer } from './git-credential-source.ts'
import { taskSource } from './git-credential-task.ts'
import { CLI_LIMITS } from './limits.ts'
import { note } from './print.ts'
import type { TaskFileOption } from './task-file.ts'
import { CommandError, EXIT, errorCode, type Terminal, usageError } from './terminal.ts'

/** @param operation `store` and whatever git may think of later do nothing. @throws CommandError */
export async function gitCredential(
  terminal: Terminal,
  operation: string,
  options: TaskFileOption,
): Promise<void> {
  if (operation !== 'get' && operation !== 'erase') return
  const request = await readRequest(terminal)
  if (!isPrivateTarget(request)) return
  const source = openSource(terminal, options)
  if (source === undefined) return
  if (operation === 'get') await answer(terminal, source, request)
  else await erase(terminal, source, request)
}

/** The file that is named, or the server that this process was started beside. Without either there is no task. */
function openSource(terminal: Terminal, { taskTokenFile }: TaskFileOption): CredentialSource | undefined {
  if (taskTokenFile !== undefined) return taskSource(terminal, taskTokenFile)
  const address = addressOf(terminal)
  if (address !== undefined) return sidecarSource(address)
  const path = given(terminal.env.MAYFLY_TASK_TOKEN_FILE)
  return path === undefined ? undefined : taskSource(terminal, path)
}

function addressOf({ env }: Terminal): SidecarAddress | undefined {
  try {
    return sidecarAddress(env)
  } catch (error) {
    throw usageError(expected(error))
  }
}

async function readRequest(terminal: Terminal): Promise<CredentialRequest> {
  const text = await terminal.readStdin(CLI_LIMITS.gitRequestBytes).catch((cause: unknown) => {
    throw new CommandError(`what git asks cannot be read (${errorCode(cause)})`, { cause })
  })
  const parsed = parseCredentialRequest(text)
  if (parsed.ok) return parsed.request
  throw new CommandError(`this is not what git asks a credential helper: ${parsed.problem}`)
}

async function answer(
  terminal: Terminal,
  source: CredentialSource,
  request: CredentialRequest,
): Promise<void> {
  const found = await source.get(targetOf(request)).catch((error: unknown): GitAnswer => {
    const message = expected(error)
    if (isLikelyOurs(request)) return { kind: 'refused', message }
    note(terminal, oneLine(message))
    return { kind: 'foreign' }
  })
  switch (found.kind) {
    case 'foreign':
      return
    case 'refused':
      note(terminal, oneLine(found.message))
      terminal.out('quit=1\n')
      terminal.exitWith(EXIT.denied)
      return
    case 'credential':
      if (found.note !== undefined) note(terminal, oneLine(found.note))
      terminal.out(written(found.token, found.expiresAt, request))
  }
}

/** git throws it away by itself; an error here would only stand in the way of what it says. */
async function erase(
  terminal: Terminal,
  source: CredentialSource,
  { password, ...request }: CredentialRequest,
): Promise<void> {
  if (password === undefined) return
  const sha256 = createHash('sha256').update(password.reveal()).digest('hex')
  await source.rejected(targetOf(request), sha256).catch((error: unknown) => {
    if (isLikelyOurs(request)) note(terminal, oneLine(expected(error)))
  })
}

/** The one place where the helper reveals a credential: to git, which asked for it. */
function written(token: Secret, expiresAt: number, { takesAuthtype }: CredentialRequest): string {
  const expiry = `password_expiry_utc=${Math.floor(expiresAt / 1_000)}\n`
  if (!takesAuthtype) return `username=${USER}\npassword=${token.reveal()}\n${expiry}`
  const basic = Buffer.from(`${USER}:${token.reveal()}`).toString('base64')
  // Other helpers are told not to keep it.
  return `capability[]=authtype\nauthtype=Basic\ncredential=${basic}\nephemeral=1\n${expiry}`
}

/** As GitHub has it for installation tokens. */
const USER = 'x-access-token'

function targetOf({ protocol, host, path }: Omit<CredentialRequest, 'password'>): GitTarget {
  return { protocol, host, path }
}

/** Where the task could not be asked: to stop git there is right, and would be wrong for somebody else's host. */
function isLikelyOurs({ host }: Pick<CredentialRequest, 'host'>): boolean {
  return /^(?:github\.com|[a-z0-9-]+\.ghe\.com|localhost|127\.\d+\.\d+\.\d+)(?::\d+)?$/i.test(host)
}

/** What a person can act on. @throws whatever is a fault of ours */
function expected(error: unknown): string {
  if (error instanceof Error && (error instanceof CommandError || error.name === 'SidecarError'))
    return error.message
  throw error
}

/** git shows what its helpers say among its own lines. */
function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').replaceAll(/\p{Cc}/gu, ' ')
}
