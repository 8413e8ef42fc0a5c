import { Hono } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { actorOf, authorizeOperator, demandFresh, recogniseHuman } from '../broker/people/operators.ts'
import { checkIn, checkInBinding, demandOutsider } from '../broker/tasks/check-in.ts'
import { checkInBody } from './approval-schemas.ts'
import { refuseBearers } from './approvals.ts'
import type { Env } from './guard.ts'
import { createExchangeGate } from './rate-limit.ts'
import { readJson } from './read-body.ts'

/** `/v1/tasks/{id}/check-in`: a human says that the task may go on, having signed in for that alone. */
export function checkInRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()
  const gate = createExchangeGate(broker.limits, broker.now)
  routes.post('/:id/check-in', async c => {
    const within = c.get('broker')
    const id = c.req.param('id')
    await refuseBearers(c)
    const body = await readJson(c, checkInBody, broker.limits.bodyBytes)
    const idToken = new Secret(body.id_token)
    // Strangers do not learn which tasks there are.
    await gate.pass(c.get('source'), () => recogniseHuman(within, idToken))
    const human = await demandFresh(within, idToken, checkInBinding(id))
    const task = await within.ledger.read.task(id)
    await authorizeOperator(within, human, 'approve', task === undefined ? {} : { agent: task.agent })
    if (task === undefined) throw new BrokerError('not_found', 'no such task')
    await demandOutsider(within, human, task)
    const { due_at } = await checkIn(within, actorOf(human), id)
    return c.json({ task: id, check_in_due: new Date(due_at).toISOString() })
  })
  return routes
}
