import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { checkIn } from '../broker/check-in.ts'
import { actorOf, authenticateOperator, authorizeOperator } from '../broker/operators.ts'
import { parseToken } from '../keys/tokens.ts'
import { checkInBody } from './approval-schemas.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { readJson } from './read-body.ts'

/** `/v1/tasks/{id}/check-in`: a human says that the task may go on. A session is enough for it; a token is not. */
export function checkInRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()
  routes.post('/:id/check-in', async c => {
    const token = bearer(c)
    if (parseToken(token.reveal())?.kind === 'task')
      throw new BrokerError('forbidden', 'a human checks in, and never the task')
    const operator = await authenticateOperator(c.get('broker'), token)
    if (operator.kind !== 'human') throw new BrokerError('forbidden', 'a human checks in: sign in')
    await readJson(c, checkInBody, broker.limits.bodyBytes)
    const id = c.req.param('id')
    const agent = (await c.get('broker').ledger.read.task(id))?.agent
    // To go on is less than to begin: it needs the right to approve, and no sign-in of its own.
    await authorizeOperator(c.get('broker'), { ...operator, fresh: true }, 'approve', {
      ...(agent === undefined ? {} : { agent }),
    })
    const { due_at } = await checkIn(c.get('broker'), actorOf(operator), id)
    return c.json({ task: id, check_in_due: new Date(due_at).toISOString() })
  })
  return routes
}
