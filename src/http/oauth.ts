/** `/oauth`: token exchange (RFC 8693), jwt-bearer (RFC 7523), introspection (RFC 7662), revocation (RFC 7009). */
import { createHash, timingSafeEqual } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { revokePresented } from '../broker/credentials/revoke.ts'
import { endTask } from '../broker/tasks/end-task.ts'
import { liveCredential } from '../broker/tasks/introspect.ts'
import { isTokenOf } from '../broker/tasks/task-by-token.ts'
import type { ResourceServer } from '../config.ts'
import { parseToken } from '../keys/tokens.ts'
import type { TaskRow } from '../store/rows.ts'
import type { IntrospectionLimits } from './admission.ts'
import { basic } from './bearer.ts'
import type { Env } from './guard.ts'
import { tokenTypeOf } from './oauth-answer.ts'
import { assertionGrant, JWT_BEARER } from './oauth-assertion.ts'
import { CLIENT_CREDENTIALS, certificateGrant } from './oauth-certificate.ts'
import { exchange, TOKEN_EXCHANGE } from './oauth-exchange.ts'
import { createPace, type ExchangeAnswer, type Pace } from './oauth-pending.ts'
import { demand, type Form } from './oauth-request.ts'
import { presentedInBody, presentedTask } from './possession.ts'
import { HttpRefusal } from './problem.ts'
import type { ExchangeGate } from './rate-limit.ts'
import { readForm } from './read-body.ts'

export type OauthOptions = {
  exchanges: ExchangeGate
  introspection: IntrospectionLimits
  resourceServers: () => ReadonlyMap<string, ResourceServer>
}

export function oauthRoutes(broker: Broker, options: OauthOptions): Hono<Env> {
  const { approvalPollMs, approvalPollers } = broker.limits
  const pace = createPace(approvalPollMs, approvalPollers, broker.now)
  const routes = new Hono<Env>()
  routes.post('/token', async c => {
    const answer = await options.exchanges.pass(c.get('source'), async () => {
      const form = await readForm(c, broker.limits.bodyBytes, new Set(['audience', 'resource']))
      return answerGrant(c, form, pace)
    })
    return c.json(answer.body, answer.status)
  })
  routes.post('/introspect', async c => {
    const server = resourceServer(c, options)
    const form = await readForm(c, broker.limits.bodyBytes)
    return c.json(await introspect(c.get('broker'), server, demand(form, 'token')))
  })
  routes.post('/revoke', async c => {
    const form = await readForm(c, broker.limits.bodyBytes)
    await revoke(c, demand(form, 'token'))
    return c.body(null, 200)
  })
  for (const path of ['/token', '/introspect', '/revoke'])
    routes.all(path, () => {
      throw new HttpRefusal(405, 'only POST is accepted here', { allow: 'POST' })
    })
  return routes
}

/** By the type of the grant, which says how evidence is presented. */
function answerGrant(c: Context<Env>, form: Form, pace: Pace): Promise<ExchangeAnswer> {
  const grant = demand(form, 'grant_type')
  switch (grant) {
    case TOKEN_EXCHANGE:
      return exchange(c, form, pace)
    case JWT_BEARER:
      c.set('grant', 'assertion')
      return assertionGrant(c, form)
    case CLIENT_CREDENTIALS:
      c.set('grant', 'certificate')
      return certificateGrant(c, form)
    default:
      throw new BrokerError(
        'grant_type_unsupported',
        `supported are ${TOKEN_EXCHANGE}, ${JWT_BEARER} and ${CLIENT_CREDENTIALS}`,
      )
  }
}

/** Each resource server sees credentials for its own audience; everything else is inactive, whatever it is. */
async function introspect(broker: Broker, server: ResourceServer, token: string) {
  const live = await liveCredential(broker, token)
  if (live === undefined || live.claims.aud !== server.audience) return { active: false }
  return { active: true, token_type: tokenTypeOf(live.claims.cnf), ...live.claims }
}

/**
 * A task token revokes itself, ending its task; with a task token as bearer, a credential of that task or of
 * one below it. Unknown and foreign tokens are answered like revoked ones (RFC 7009 section 2.2).
 */
async function revoke(c: Context<Env>, token: string): Promise<void> {
  const broker = c.get('broker')
  const holder =
    c.req.header('authorization') === undefined ? await taskOf(c, new Secret(token)) : await presentedTask(c)
  if (holder === undefined) return
  if (parseToken(token)?.kind === 'task') {
    if (!isTokenOf(broker, holder, token)) return
    await endTask(broker, holder.id, 'cancelled', {
      actor: `task:${holder.id}`,
      detail: 'token revoked by its holder',
    })
    return
  }
  await revokePresented(broker, holder, token)
}

async function taskOf(c: Context<Env>, token: Secret): Promise<TaskRow | undefined> {
  try {
    return await presentedInBody(c, token)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'unauthenticated') return undefined
    throw error
  }
}

/** @throws BrokerError where it is none, or has had its share of the minute. */
function resourceServer(c: Context<Env>, { resourceServers, introspection }: OauthOptions): ResourceServer {
  const given = basic(c)
  const server = given === undefined ? undefined : resourceServers().get(given.id)
  const hash = createHash('sha256')
    .update(given?.secret.reveal() ?? '')
    .digest()
  const expected = Buffer.from(server?.secret_sha256 ?? '0'.repeat(64), 'hex')
  if (timingSafeEqual(hash, expected) && server !== undefined) {
    introspection.servers.take(server.name)
    return server
  }
  introspection.strangers.take(c.get('source'))
  throw new BrokerError('unauthenticated', 'a registered resource server must authenticate with HTTP Basic')
}
