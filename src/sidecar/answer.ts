/** One request to the local server, parsed strictly, and its answer. */
import type { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Credential } from '../client/credential.ts'
import type { World } from '../client/world.ts'
import { kindOf } from './ask-kind.ts'
import { answerAws } from './aws-answer.ts'
import type { Found } from './choose-ask.ts'
import { type Keeper, render } from './keeper.ts'
import {
  askBody,
  completeBody,
  credentialBody,
  type LocalCredential,
  openBody,
  rejectedBody,
  waitQuery,
} from './protocol.ts'
import { problemOf, Refusal } from './refusal.ts'

export type LocalRequest = {
  method: string
  /** Of the listener's own origin. */
  url: URL
  /** The body's text, read when it is wanted. @throws Refusal */
  read(): Promise<string>
}

export type LocalAnswer = {
  status: number
  type: 'application/json' | 'application/problem+json'
  body: unknown
}

export type Surrounding = {
  /** Where AWS SDKs ask, and with what; undefined where they cannot. */
  aws(): { url: string; token: Secret } | undefined
  /** Told of what nobody expected. */
  report(error: unknown): void
}

export async function answer(
  world: Pick<World, 'schedule'>,
  keeper: Keeper,
  request: LocalRequest,
  { aws: where, report }: Surrounding,
): Promise<LocalAnswer> {
  const [, aws] = /^\/aws\/([\w-]{1,100})$/.exec(request.url.pathname) ?? []
  try {
    if (request.url.pathname === '/v1/aws') return answerWhere(request, where())
    if (aws === undefined) return await route(keeper, request)
    demandMethod(request, ['GET'])
    demandQuery(request)
    return json(200, await answerAws(world, keeper, aws))
  } catch (error) {
    const problem = problemOf(error)
    if (problem.code === 'local_failure') report(error)
    return refused(problem, aws !== undefined)
  }
}

/** The SDKs show `code` and `message`, some under names with capital letters. */
export function refused(problem: ReturnType<typeof problemOf>, isAws: boolean): LocalAnswer {
  if (!isAws) return { status: problem.status, type: 'application/problem+json', body: problem }
  const { code, decision } = problem
  const message = `${problem.detail}${decision === undefined ? '' : ` (decision ${decision})`}`
  return json(problem.status, { Code: code, Message: message, code, message })
}

function answerWhere(request: LocalRequest, where: ReturnType<Surrounding['aws']>): LocalAnswer {
  demandMethod(request, ['GET'])
  demandQuery(request)
  if (where === undefined) throw new Refusal('not_found', 'AWS SDKs are not answered here')
  return json(200, { url: where.url, token: where.token.reveal() })
}

async function route(keeper: Keeper, request: LocalRequest): Promise<LocalAnswer> {
  const { method, url } = request
  const [, id, verb] = /^\/v1\/tasks\/(\w{1,100})(?:\/(asks|complete))?$/.exec(url.pathname) ?? []
  if (id !== undefined && verb === undefined) {
    demandMethod(request, ['GET'])
    const { wait = 0 } = parsed(waitQuery, Object.fromEntries(url.searchParams))
    return json(200, await keeper.read(id, wait))
  }
  demandQuery(request)
  if (id !== undefined) {
    demandMethod(request, ['POST'])
    if (verb === 'asks') return json(200, await keeper.ask(id, await body(request, askBody)))
    await keeper.complete(id, await body(request, completeBody))
    return json(200, render(keeper.find(id)))
  }
  switch (url.pathname) {
    case '/v1/tasks':
      demandMethod(request, ['GET', 'POST'])
      if (method === 'GET') return json(200, { tasks: keeper.list() })
      return json(201, await keeper.open(await body(request, openBody)))
    case '/v1/credentials':
      demandMethod(request, ['POST'])
      return json(200, renderCredential(await keeper.credential(await body(request, credentialBody))))
    case '/v1/credentials/rejected': {
      demandMethod(request, ['POST'])
      const { handle, sha256 } = await body(request, rejectedBody)
      const { held, ask } = keeper.byHandle(handle)
      return json(200, { dropped: await held.secrets.reject(ask, sha256) })
    }
  }
  throw new Refusal('not_found', 'there is nothing at this path')
}

/** The one place where a credential leaves the server, beside that for AWS. */
function renderCredential({ held, ask, credential }: Found & { credential: Credential }): LocalCredential {
  const value = credential.reveal()
  return {
    ...{ handle: ask.id, task: held.task.id, type: credential.issuer },
    kind: kindOf(credential.authorizationDetails),
    authorization_details: { ...credential.authorizationDetails },
    secret: typeof value === 'string' ? value : { ...value },
    expires_at: credential.expiresAt.toISOString(),
    provider_expires_at: credential.providerExpiresAt.toISOString(),
  }
}

async function body<T>(request: LocalRequest, shape: z.ZodType<T>): Promise<T> {
  const text = await request.read()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refusal('request_invalid', 'the body is not JSON')
  }
  return parsed(shape, value)
}

/** Paths only: what stands there may be a secret that was put into the wrong place. */
function parsed<T>(shape: z.ZodType<T>, value: unknown): T {
  const read = shape.safeParse(value)
  if (read.success) return read.data
  const where = read.error.issues.map(issue => issue.path.join('.') || 'the whole').slice(0, 5)
  throw new Refusal('request_invalid', `what was sent is not as expected: ${where.join(', ')}`)
}

function demandMethod({ method }: LocalRequest, allowed: readonly string[]): void {
  if (!allowed.includes(method))
    throw new Refusal('method_not_allowed', `only ${allowed.join(' and ')} is accepted here`)
}

function demandQuery({ url }: LocalRequest): void {
  if (url.search !== '') throw new Refusal('request_invalid', 'no query is expected here')
}

function json(status: number, value: unknown): LocalAnswer {
  return { status, type: 'application/json', body: value }
}
