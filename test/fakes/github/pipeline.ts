/**
 * One request's way through the stand-in, in GitHub's order: routed, delayed, failed on demand, then, without
 * another call coming between: version, caller, rate limit, schema, effect.
 */
import { ConnectionDropped, type FaultHook } from '../faults.ts'
import { bucketOf, identify } from './access.ts'
import { type Answer, GithubRefusal, notFound } from './answer.ts'
import type { Caller } from './handler.ts'
import { handlers } from './handlers.ts'
import { githubLimits, type Limits, type RateLimit } from './rate-limit.ts'
import type { Match, SchemaJudge } from './schema-judge.ts'
import type { GithubState } from './state.ts'

export type Pipeline = {
  state: GithubState
  judge: SchemaJudge
  rateLimit: RateLimit
  sleep: (ms: number) => Promise<void>
  /** Read at every call: a test changes them while the stand-in runs. */
  knobs: { faults: FaultHook; latencyMs: number; limits: Partial<Limits> }
}

const provider = 'github'
const versions = ['2022-11-28', '2026-03-10']

/** A request whose body was read and whose operation is known, if it is one of ours. */
type Arrived = { request: Request; url: URL; pathname: string; match: Match | undefined; bodyText: string }

/** @throws ConnectionDropped where the fault hook says `drop` */
export async function handle(pipeline: Pipeline, request: Request): Promise<Response> {
  const { state, knobs } = pipeline
  const url = withoutPrefix(new URL(request.url))
  const pathname = namedPath(state, url.pathname)
  const match = pipeline.judge.match(request.method, pathname)
  const operation = match?.operationId ?? 'unknown'
  const bodyText = await request.text()
  if (knobs.latencyMs > 0) await pipeline.sleep(knobs.latencyMs)
  const before = await knobs.faults({ provider, operation, when: 'before' })
  if (before === 'drop') throw new ConnectionDropped(provider, operation)
  if (before !== 'ok') return render(state, before)
  const answer = perform(pipeline, { request, url, pathname, match, bodyText })
  const after = await knobs.faults({ provider, operation, when: 'after' })
  if (after === 'drop') throw new ConnectionDropped(provider, operation)
  return render(state, after === 'ok' ? answer : after)
}

/** Everything with an effect, in one synchronous step. A refusal keeps the headers that were due until then. */
function perform(pipeline: Pipeline, arrived: Arrived): Answer {
  const headers: Record<string, string> = {}
  try {
    const answer = enact(pipeline, arrived, headers)
    return { ...answer, headers: { ...headers, ...answer.headers } }
  } catch (error) {
    if (!(error instanceof GithubRefusal)) throw error
    return { ...error.answer, headers: { ...headers, ...error.answer.headers } }
  }
}

function enact(pipeline: Pipeline, arrived: Arrived, headers: Record<string, string>): Answer {
  const { request, url, pathname, match, bodyText } = arrived
  const version = checkHeaders(request.headers)
  headers['x-github-api-version-selected'] = version
  const caller = admit(pipeline, request.headers.get('authorization'), headers)
  if (match === undefined) throw notFound()
  const { params, body } = pipeline.judge.judgeRequest(match, url.searchParams, bodyText)
  return handlers[match.operationId]({
    state: pipeline.state,
    caller,
    params,
    body,
    origin: url.origin,
    rest: pathname.replace(/^\/repos\/[^/]+\/[^/]+/, '') + url.search,
    url,
    accept: request.headers.get('accept') ?? '',
    userAgent: request.headers.get('user-agent') ?? '',
    trimDeprecated: version !== '2022-11-28',
  })
}

/** Who is calling, counted; one who cannot prove it counts as anonymous. Adds the rate limit's headers. */
function admit(pipeline: Pipeline, authorization: string | null, headers: Record<string, string>): Caller {
  const identified = tryIdentify(pipeline.state, authorization)
  const caller: Caller = identified instanceof GithubRefusal ? { kind: 'anonymous' } : identified
  const counted = pipeline.rateLimit.count(bucketOf(caller), { ...githubLimits, ...pipeline.knobs.limits })
  Object.assign(headers, counted.headers)
  if (identified instanceof GithubRefusal) throw identified
  if (counted.exceeded !== undefined) throw counted.exceeded
  return caller
}

function tryIdentify(state: GithubState, authorization: string | null): Caller | GithubRefusal {
  try {
    return identify(state, authorization)
  } catch (error) {
    if (error instanceof GithubRefusal) return error
    throw error
  }
}

/** @returns the REST version asked for, or GitHub's default */
function checkHeaders(headers: Headers): string {
  if (headers.get('user-agent') === null) {
    throw new GithubRefusal(
      403,
      'Request forbidden by administrative rules. Please make sure your request has a User-Agent header',
    )
  }
  const version = headers.get('x-github-api-version') ?? versions[0]!
  if (!versions.includes(version)) {
    throw new GithubRefusal(400, `"${version}" is not a supported REST API version`)
  }
  return version
}

/** GitHub Enterprise Server has the same paths under `/api/v3`. */
function withoutPrefix(url: URL): URL {
  url.pathname = url.pathname.replace(/^\/api\/v3(?=\/)/, '')
  return url
}

/** `/repositories/{id}`, where GitHub sends who asks for a former name. */
function namedPath(state: GithubState, pathname: string): string {
  const [, id, rest] = /^\/repositories\/(\d+)(\/.*)?$/.exec(pathname) ?? []
  const repository = state.repositories.get(Number(id))
  return repository === undefined ? pathname : `/repos/${repository.owner}/${repository.name}${rest ?? ''}`
}

function render(
  state: GithubState,
  answer: { status: number; headers?: Record<string, string>; body?: unknown },
) {
  const id = Buffer.from(state.random(16)).toString('hex').toUpperCase()
  const headers = new Headers({
    date: new Date(state.now()).toUTCString(),
    'x-github-request-id': id.replace(/^(.{4})(.{6})(.{7})(.{7})(.{8})$/, '$1:$2:$3:$4:$5'),
    'x-github-media-type': 'github.v3; format=json',
    ...answer.headers,
  })
  const { body } = answer
  if (body === undefined) return new Response(null, { status: answer.status, headers })
  if (typeof body === 'string') return new Response(body, { status: answer.status, headers })
  const raw = body instanceof Uint8Array
  if (!headers.has('content-type')) {
    headers.set(
      'content-type',
      raw ? 'application/vnd.github.raw+json; charset=utf-8' : 'application/json; charset=utf-8',
    )
  }
  return new Response(raw ? new Uint8Array(body) : JSON.stringify(body), { status: answer.status, headers })
}
