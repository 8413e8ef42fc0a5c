import { type Context, Hono } from 'hono'
import type { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import { asTheyStand } from '../broker/approvals/ask-approval.ts'
import { certificateKey } from '../broker/bound/held-keys.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { type CredentialRequest, requestCredential } from '../broker/credentials/grant-ask.ts'
import { revokeLease } from '../broker/credentials/revoke.ts'
import { taskHashes } from '../broker/leaks/task-hashes.ts'
import { readReceiptOf } from '../broker/proof/read-receipt.ts'
import { endTask } from '../broker/tasks/end-task.ts'
import { extendTask } from '../broker/tasks/extend-task.ts'
import { heartbeat } from '../broker/tasks/heartbeat.ts'
import type { OpenRequest } from '../broker/tasks/open-request.ts'
import { openTask } from '../broker/tasks/open-task.ts'
import { openTicket } from '../broker/tasks/open-ticket.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import { parseToken } from '../keys/tokens.ts'
import type { AskRow, TaskRow } from '../store/rows.ts'
import { capInFlight } from './admission.ts'
import { certificateEvidence, clientCertificates } from './client-certificate.ts'
import { declaredOf } from './declared.ts'
import type { Env } from './guard.ts'
import { accepted, approvalsOf, comeBack, isPending } from './pending.ts'
import { presented, presentedTask, shownKeys } from './possession.ts'
import { waitForHumans } from './prefer.ts'
import type { ExchangeGate } from './rate-limit.ts'
import { readJson, readJsonIfAny } from './read-body.ts'
import { type PlacedAsk, renderCredential, renderLease, renderReceipt, renderTask } from './render.ts'
import {
  completeBody,
  credentialBody,
  extendBody,
  heartbeatBody,
  openTaskBody,
  ticketBody,
} from './schemas.ts'
import { time } from './time.ts'
import { toAsk } from './to-ask.ts'
import { wishOf } from './wish.ts'

/** `/v1/tasks`: opened with evidence, kept and ended with the task token. */
export function taskRoutes(broker: Broker, exchanges: ExchangeGate): Hono<Env> {
  const { bodyBytes } = broker.limits
  const allOfTask = broker.limits.credentialsPerTask + 1
  /** Keys may have to be fetched for statements: whoever waits for that holds no place of those that end things. */
  const proving = capInFlight(broker.limits.endsInFlight)
  const routes = new Hono<Env>()

  routes.post('/', async c => {
    const opened = await exchanges.pass(c.get('source'), async () => {
      const request = toRequest(c, await readJson(c, openTaskBody, bodyBytes))
      const held = await shownKeys(c)
      return withFreshConfiguration(c.get('broker'), within => openTask(within, { ...request, held }))
    })
    const { id } = opened.task
    c.header('location', `/v1/tasks/${id}`)
    let { asks } = opened
    if (asks.some(isPending) && (await waitForHumans(c, c.get('broker'), id)))
      asks = await asTheyStand(c.get('broker'), asks)
    const waits = asks.some(isPending)
    if (waits) comeBack(c, broker, id)
    return c.json(
      {
        task: {
          ...renderTask(opened.task, placed(broker, asks)),
          ...(await approvalsOf(c.get('broker'), id, asks)),
        },
        task_token: opened.token.reveal(),
        decision: opened.decision,
      },
      waits ? 202 : 201,
    )
  })

  routes.get('/:id', async c => {
    const { id } = await authorise(c)
    await waitForHumans(c, c.get('broker'), id)
    const task = (await c.get('broker').ledger.read.task(id))!
    const leases = await c.get('broker').ledger.read.leases({ task: id }, { limit: allOfTask })
    const asks = await c.get('broker').ledger.read.asks(id)
    if (asks.some(isPending)) comeBack(c, broker, id)
    const approvals = await approvalsOf(c.get('broker'), id, asks)
    return c.json({ ...renderTask(task, placed(broker, asks), leases.items), ...approvals })
  })

  /** An operator, by token or session, goes on to the operators' own route, where they are served here too. */
  routes.get('/:id/receipt', async (c, next) => {
    const kind = parseToken(presented(c).token.reveal())?.kind
    if (kind === 'operator' || kind === 'session') return next()
    const { id } = await authorise(c)
    return c.json(renderReceipt(await readReceiptOf(c.get('broker'), id)))
  })

  routes.post('/:id/credentials', async c => {
    const task = await authorise(c)
    const body = await readJson(c, credentialBody, bodyBytes)
    const request: CredentialRequest =
      'ask' in body
        ? { ask: body.ask }
        : { wanted: toAsk(body.authorization_details[0]), ...declaredOf(body), ...wishOf(body) }
    const credential = await withFreshConfiguration(c.get('broker'), within =>
      requestCredential(within, task, request),
    ).catch((error: unknown) => {
      if ('ask' in request) throw error
      return accepted(c, broker, error)
    })
    return credential instanceof Response ? credential : c.json(renderCredential(credential), 201)
  })

  /** By what its credentials are known again in a text; none of them can be had from it. */
  routes.get('/:id/credentials/hashes', async c =>
    c.json(await taskHashes(c.get('broker'), await authorise(c))),
  )

  /** One given back before the task ends: it may be on its way out, or out, already. */
  routes.delete('/:id/credentials/:lease', async c => {
    const task = await authorise(c)
    const { read } = c.get('broker').ledger
    const lease = await read.lease(c.req.param('lease'))
    if (lease?.task !== task.id) throw new BrokerError('not_found', 'this task was given no such credential')
    await revokeLease(c.get('broker'), lease, `task:${task.id}`)
    return c.json(renderLease((await read.lease(lease.id))!))
  })

  routes.post('/:id/heartbeat', async c => {
    const task = await authorise(c)
    const { posture = [] } = await readJsonIfAny(c, heartbeatBody, bodyBytes)
    const [certificate] = clientCertificates(c)
    const beat = () => heartbeat(c.get('broker'), task, posture, certificateKey(certificate))
    if (posture.length > 0) c.get('place')?.leave()
    const due = await (posture.length > 0 ? proving(c, beat) : beat())
    return c.json({ heartbeat_due: time(due) })
  })

  routes.post('/:id/extend', async c => {
    const task = await authorise(c)
    const body = await readJson(c, extendBody, bodyBytes)
    const deadline = await withFreshConfiguration(c.get('broker'), within => extendTask(within, task, body))
    return c.json({ deadline: new Date(deadline).toISOString() })
  })

  routes.post('/:id/complete', async c => {
    const task = await authorise(c)
    const { outcome, detail } = await readJson(c, completeBody, bodyBytes)
    await endTask(c.get('broker'), task.id, outcome, {
      actor: `task:${task.id}`,
      ...(detail === undefined ? {} : { detail }),
    })
    const leases = await c.get('broker').ledger.read.leases({ task: task.id }, { limit: allOfTask })
    const after = (await c.get('broker').ledger.read.task(task.id))!
    const asks = await c.get('broker').ledger.read.asks(task.id)
    return c.json(renderTask(after, placed(broker, asks), leases.items))
  })

  routes.post('/:id/tickets', async c => {
    const task = await authorise(c)
    const body = await readJson(c, ticketBody, bodyBytes)
    const request = {
      agent: body.agent,
      minutes: body.minutes,
      asks: body.authorization_details.map(toAsk),
    }
    const ticket = await withFreshConfiguration(c.get('broker'), within => openTicket(within, task, request))
    return c.json(
      { ticket: ticket.token.reveal(), id: ticket.id, expires_at: new Date(ticket.expiresAt).toISOString() },
      201,
    )
  })

  /** The token's own task only: a foreign id looks like one that does not exist. */
  async function authorise(c: Context<Env>): Promise<TaskRow> {
    const task = await presentedTask(c)
    if (task.id !== c.req.param('id')) throw new BrokerError('not_found', 'no such task')
    return task
  }

  return routes
}

/** With where each reaches: whoever holds the task gives its credentials to that host and to no other. */
function placed({ issuers }: Pick<Broker, 'issuers'>, asks: readonly AskRow[]): PlacedAsk[] {
  return asks.map(ask => ({ ...ask, provider: issuers.get(ask.issuer)?.watch?.provider }))
}

function toRequest(c: Context<Env>, body: z.infer<typeof openTaskBody>): OpenRequest {
  return {
    evidence: body.evidence.type === 'jwt' ? body.evidence : certificateEvidence(c),
    purpose: body.purpose,
    asks: body.authorization_details.map(toAsk),
    mintFirst: false,
    ...(body.on_behalf_of === undefined ? {} : { onBehalfOf: body.on_behalf_of }),
    ...(body.posture === undefined ? {} : { statements: body.posture }),
    ...(body.agent === undefined ? {} : { agent: body.agent }),
    ...(body.minutes === undefined ? {} : { minutes: body.minutes }),
    ...(body.heartbeat_seconds === undefined ? {} : { heartbeatSeconds: body.heartbeat_seconds }),
    ...(body.ticket === undefined ? {} : { ticket: new Secret(body.ticket) }),
    ...(body.lifetime === undefined ? {} : { lifetime: body.lifetime }),
    ...declaredOf(body),
    ...wishOf(body),
  }
}
