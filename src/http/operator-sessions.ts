import { Hono } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import {
  demandSignIn,
  endSession,
  isSessionToken,
  newChallenge,
  openSession,
  openSessions,
  sessionOf,
} from '../broker/people/operator-sessions.ts'
import { actorOf, authenticateOperator } from '../broker/people/operators.ts'
import type { OperatorSessionRow } from '../store/rows.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { operatorFor } from './operator-guard.ts'
import { challengeBody, endSessionBody, sessionBody, sessionsQuery } from './operator-schemas.ts'
import { given, page, query } from './page.ts'
import { createExchangeGate } from './rate-limit.ts'
import { readJson } from './read-body.ts'
import { time } from './time.ts'

/**
 * `/v1/operator-sessions`: how humans sign in. Where to, the challenge and the sign-in itself need no operator yet,
 * and are limited like exchanges of evidence.
 */
export function operatorSessionRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()
  const gate = createExchangeGate(broker.limits, broker.now)
  const { bodyBytes } = broker.limits

  routes.get('/provider', c => {
    const { issuer, clientId, scopes, redirectPorts, freshAcrValues } = demandSignIn(c.get('broker'))
    const ports = { redirect_ports: redirectPorts, acr_values: freshAcrValues }
    return c.json({ issuer, client_id: clientId, scopes, ...ports })
  })

  routes.post('/challenge', async c => {
    await readJson(c, challengeBody, bodyBytes)
    const make = () => newChallenge(c.get('broker'))
    const { challenge, expiresAt } = await gate.pass(c.get('source'), make)
    return c.json({ challenge, expires_at: time(expiresAt) }, 201)
  })

  routes.post('/', async c => {
    const { id_token, challenge } = await readJson(c, sessionBody, bodyBytes)
    const { token, session } = await gate.pass(c.get('source'), () =>
      openSession(c.get('broker'), { idToken: new Secret(id_token), challenge }),
    )
    return c.json({ token: token.reveal(), ...renderSession(session) }, 201)
  })

  routes.get('/', async c => {
    await operatorFor(c, 'read')
    const { limit, after, state } = query(c, sessionsQuery)
    const at = given({ limit, after })
    const within = c.get('broker')
    const found =
      state === 'open' ? await openSessions(within, at) : await within.ledger.read.operatorSessions({}, at)
    return c.json(page(found, renderSession))
  })

  /** Who the bearer is, whatever they may do. */
  routes.get('/current', async c => {
    const token = bearer(c)
    const { name, kind, groups } = await authenticateOperator(c.get('broker'), token)
    if (!isSessionToken(token)) return c.json({ name, kind, groups })
    return c.json({ kind, ...renderSession(await sessionOf(c.get('broker'), token)) })
  })

  /** One's own (`current`), or anybody's for whoever may narrow. */
  routes.post('/:id/end', async c => {
    const within = c.get('broker')
    await readJson(c, endSessionBody, bodyBytes)
    const wanted = c.req.param('id')
    const own = await authenticateOperator(within, bearer(c))
    const isOwn = own.session !== undefined && (wanted === 'current' || wanted === own.session)
    const by = isOwn ? own : await operatorFor(c, 'narrow')
    if (!isOwn && wanted === 'current') throw new BrokerError('not_found', 'this is no session')
    const ended = await endSession(within, isOwn ? own.session! : wanted, actorOf(by))
    return c.json(renderSession(ended))
  })

  return routes
}

function renderSession(row: OperatorSessionRow) {
  const { id, issuer, subject, name, groups, created_at, expires_at, ended_at, ended_by } = row
  return {
    ...{ id, issuer, subject, name, groups: JSON.parse(groups) as string[] },
    ...{ created_at: time(created_at), expires_at: time(expires_at) },
    ...{ ended_at: time(ended_at), ended_by },
  }
}
