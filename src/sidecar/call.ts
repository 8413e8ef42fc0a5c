/** Calls to the local credential server of this process's surroundings: see protocol.ts for what is said. */
import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { isAbsolute } from 'node:path'
import type { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { SIDECAR_LIMITS } from './limits.ts'
import {
  type AskBody,
  askAnswer,
  awsAnswer,
  type CompleteBody,
  type CredentialBody,
  credentialAnswer,
  type LocalAsk,
  type LocalCredential,
  type LocalProblem,
  type LocalTask,
  type OpenBody,
  problemAnswer,
  type RejectedBody,
  rejectedAnswer,
  taskAnswer,
  tasksAnswer,
} from './protocol.ts'
import { SIDECAR_VARIABLES } from './variables.ts'

export type SidecarAddress = { socket: string } | { url: string; token: Secret }

/**
 * A refusal of the server, `problem` as it told it; or none: `code` is then `sidecar_unreachable`,
 * `sidecar_foreign` (what answers is none) or `sidecar_address_invalid`. The message holds no secret.
 */
export class SidecarError extends Error {
  override name = 'SidecarError'
  readonly code: string
  readonly problem: LocalProblem | undefined
  constructor(message: string, options: { code: string; problem?: LocalProblem; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = options.code
    this.problem = options.problem
  }
}

export type Sidecar = {
  tasks(options?: Signal): Promise<LocalTask[]>
  open(body: OpenBody, options?: Signal): Promise<LocalTask>
  /** As the broker has it now, at once or as soon as humans have answered. */
  read(task: string, options?: Signal & { waitSeconds?: number }): Promise<LocalTask>
  ask(task: string, body: AskBody, options?: Signal): Promise<LocalAsk>
  credential(body: CredentialBody, options?: Signal): Promise<LocalCredential>
  /** Where AWS SDKs ask: a handle is put behind `url`, and they send `token` as it stands. */
  aws(options?: Signal): Promise<{ url: string; token: Secret }>
  /** Its provider refuses it. @returns whether it was still the one held */
  rejected(body: RejectedBody, options?: Signal): Promise<boolean>
  complete(task: string, body: CompleteBody, options?: Signal): Promise<LocalTask>
}

type Signal = { signal?: AbortSignal }

/**
 * Where the environment says that a server is; undefined where it says nothing.
 * @throws SidecarError `sidecar_address_invalid`
 */
export function sidecarAddress(
  env: Readonly<Record<string, string | undefined>>,
): SidecarAddress | undefined {
  const socket = env[SIDECAR_VARIABLES.socket]
  if (socket) {
    if (isAbsolute(socket)) return { socket }
    throw invalid(`${SIDECAR_VARIABLES.socket} is not an absolute path`)
  }
  const url = env[SIDECAR_VARIABLES.url]
  if (!url) return undefined
  const token = env[SIDECAR_VARIABLES.token]
  if (!/^http:\/\/127\.0\.0\.1:\d{1,5}$/.test(url))
    throw invalid(`${SIDECAR_VARIABLES.url} is not of the form http://127.0.0.1:PORT`)
  if (!token) throw invalid(`${SIDECAR_VARIABLES.token} is missing beside ${SIDECAR_VARIABLES.url}`)
  return { url, token: new Secret(token) }
}

/** Every method throws {@link SidecarError}, or the reason of its signal. */
export function connectSidecar(address: SidecarAddress): Sidecar {
  const call = <T>(shape: z.ZodType<T>, method: string, path: string, body?: unknown, signal?: AbortSignal) =>
    callSidecar(address, { method, path, body, signal, shape })
  const taskPath = (id: string) => `/v1/tasks/${encodeURIComponent(id)}`
  return {
    tasks: async ({ signal } = {}) => (await call(tasksAnswer, 'GET', '/v1/tasks', undefined, signal)).tasks,
    open: (body, { signal } = {}) =>
      callSidecar(address, {
        ...{ shape: taskAnswer, method: 'POST', path: '/v1/tasks', body, signal },
        deadlineMs: SIDECAR_LIMITS.openMs,
      }),
    read: (task, { waitSeconds, signal } = {}) => {
      const query = waitSeconds === undefined ? '' : `?wait=${waitSeconds}`
      return call(taskAnswer, 'GET', taskPath(task) + query, undefined, signal)
    },
    ask: (task, body, { signal } = {}) => call(askAnswer, 'POST', `${taskPath(task)}/asks`, body, signal),
    credential: (body, { signal } = {}) => call(credentialAnswer, 'POST', '/v1/credentials', body, signal),
    aws: async ({ signal } = {}) => {
      const { url, token } = await call(awsAnswer, 'GET', '/v1/aws', undefined, signal)
      return { url, token: new Secret(token) }
    },
    rejected: async (body, { signal } = {}) =>
      (await call(rejectedAnswer, 'POST', '/v1/credentials/rejected', body, signal)).dropped,
    complete: (task, body, { signal } = {}) =>
      call(taskAnswer, 'POST', `${taskPath(task)}/complete`, body, signal),
  }
}

type Call<T> = {
  method: string
  path: string
  body: unknown
  signal: AbortSignal | undefined
  deadlineMs?: number
  shape: z.ZodType<T>
}

async function callSidecar<T>(address: SidecarAddress, { shape, ...what }: Call<T>): Promise<T> {
  const { status, text } = await send(address, what)
  const told = parse(text)
  if (status < 300) {
    const answer = shape.safeParse(told)
    if (answer.success) return answer.data
    throw foreign()
  }
  const problem = problemAnswer.safeParse(told)
  if (!problem.success) throw foreign()
  const { title, detail, code } = problem.data
  throw new SidecarError(`${title}: ${detail} (${code})`, { code, problem: problem.data })
}

async function send(
  address: SidecarAddress,
  { method, path, body, signal, deadlineMs = SIDECAR_LIMITS.callMs }: Omit<Call<unknown>, 'shape'>,
): Promise<{ status: number; text: string }> {
  signal?.throwIfAborted()
  const deadline = AbortSignal.timeout(deadlineMs)
  const text = body === undefined ? undefined : JSON.stringify(body)
  const options: RequestOptions = {
    ...placeOf(address),
    ...{ method, path, agent: false, maxHeaderSize: SIDECAR_LIMITS.headerBytes },
    signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
    headers: {
      accept: 'application/json',
      ...('socket' in address
        ? { host: 'localhost' }
        : { authorization: `Bearer ${address.token.reveal()}` }),
      ...(text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    },
  }
  try {
    return await new Promise((resolve, reject) => {
      const sent = request(options, response => void readAnswer(response).then(resolve, reject))
      sent.once('error', reject)
      sent.end(text)
    })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new SidecarError(
      'no local credential server answers: what started this process (mayfly exec, mayfly agent) has ended.\n' +
        '  Start the command again under mayfly exec, or start mayfly agent.',
      { code: 'sidecar_unreachable', cause },
    )
  }
}

function placeOf(address: SidecarAddress): RequestOptions {
  if ('socket' in address) return { socketPath: address.socket }
  const { hostname, port } = new URL(address.url)
  return { hostname, port }
}

async function readAnswer(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > SIDECAR_LIMITS.answerBytes) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function foreign(): SidecarError {
  return new SidecarError('what answers there is no local credential server of this version of mayfly', {
    code: 'sidecar_foreign',
  })
}

function invalid(message: string): SidecarError {
  return new SidecarError(message, { code: 'sidecar_address_invalid' })
}
