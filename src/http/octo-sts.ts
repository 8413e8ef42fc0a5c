/**
 * `/sts/exchange` as clients of octo-sts speak it: its action, curl, and SDKs that speak HTTP/1.1. Parameters are in the
 * query or in a form; a JSON body is never read. Answers are those of gRPC's JSON gateway (WIRE: proto
 * `oidc.platform.proto`).
 */
import { type Context, Hono } from 'hono'
import { type Exchanged, exchange, type StsRequest } from '../octo-sts/exchange.ts'
import type { Facade } from '../octo-sts/facade.ts'
import { GRPC, StsRefusal } from '../octo-sts/sts-refusal.ts'
import type { Env } from './guard.ts'
import type { ExchangeGate } from './rate-limit.ts'
import { contentTypeOf, readText } from './read-body.ts'

/** Where errors have the form that these clients read. */
export const OCTO_STS_PATH = /^\/sts\/exchange(?:_refresh_token)?$/

const DOCUMENTATION = { msg: 'please check documentation for usage: https://github.com/octo-sts/app' }

export function octoStsRoutes(facade: Facade, exchanges: ExchangeGate): Hono<Env> {
  const routes = new Hono<Env>()
  routes.get('/', c => c.json(DOCUMENTATION))
  routes.on(['GET', 'POST'], '/sts/exchange', async c => {
    const request = await readRequest(c)
    const done = await exchanges.pass(c.get('source'), () => exchange(facade, c.get('broker'), request))
    return c.json(answerOf(done))
  })
  routes.post('/sts/exchange_refresh_token', () => {
    throw new StsRefusal(GRPC.unimplemented, 'octo-sts does not support refresh tokens')
  })
  for (const path of ['/sts/exchange', '/sts/exchange_refresh_token'])
    routes.all(path, () => {
      throw new StsRefusal(GRPC.unimplemented, 'Method Not Allowed')
    })
  return routes
}

/** What its clients read is `token`; the rest is for people who look. */
function answerOf({ credential, task, narrowed }: Exchanged) {
  return {
    token: credential.secret.reveal(),
    refreshToken: '',
    expiry: new Date(credential.expiresAt).toISOString(),
    task_id: task,
    ...(narrowed.length === 0 ? {} : { narrowed }),
  }
}

/** As Go's `ParseForm` and the gateway take it: a form's values before the query's, what is not known is passed over. */
async function readRequest(c: Context<Env>): Promise<StsRequest> {
  const { searchParams } = new URL(c.req.url)
  const form = await readForm(c)
  const all = (name: string) => [...form.getAll(name), ...searchParams.getAll(name)]
  const scopes = all('scopes')
  if (scopes.length > 1) throw new StsRefusal(GRPC.invalidArgument, 'multiple scopes not supported')
  // `scopes` is the newer name.
  const scope = scopes[0] ?? all('scope')[0] ?? ''
  return { token: bearerOf(c), scope, identity: all('identity')[0] ?? '' }
}

async function readForm(c: Context<Env>): Promise<URLSearchParams> {
  const isForm = contentTypeOf(c) === 'application/x-www-form-urlencoded'
  if (c.req.method !== 'POST' || !isForm) return new URLSearchParams()
  return new URLSearchParams(await readText(c, c.get('broker').limits.bodyBytes))
}

/** @throws StsRefusal */
function bearerOf(c: Context<Env>): string {
  const given = c.req.header('authorization')
  if (given === undefined || given === '')
    throw new StsRefusal(GRPC.unauthenticated, 'expected exactly one authorization header')
  return given.startsWith('Bearer ') ? given.slice('Bearer '.length) : given
}
