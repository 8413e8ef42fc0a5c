/** `/v1/policies`: what policies may speak of, what a request would come to, and how a candidate set fares. */
import { Hono } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { type Simulated, type SimulateRequest, simulate } from '../broker/decisions/simulate.ts'
import { cedarSchema } from '../policy/cedar/schema.ts'
import { vocabularyOf } from '../policy/cedar/vocabulary.ts'
import type { ShadowDifferenceRow } from '../store/rows.ts'
import { declaredOf } from './declared.ts'
import { agentOfTask, demandSeen, eyesOf, seenPage } from './eyes.ts'
import type { Env } from './guard.ts'
import { operatorFor } from './operator-guard.ts'
import { given, query } from './page.ts'
import { readJson } from './read-body.ts'
import { shadowQuery, simulateBody } from './schemas.ts'
import { toAsk } from './to-ask.ts'

/** Mounted where operators are authenticated. */
export function policyRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/schema', async c => {
    await operatorFor(c, 'read')
    const { attestors, issuers } = c.get('broker')
    return c.text(cedarSchema(vocabularyOf(attestors, issuers)))
  })

  /** Reads only, though it is told of with a POST: evidence does not belong into a URL. */
  routes.post('/simulate', async c => {
    await operatorFor(c, 'read')
    const body = await readJson(c, simulateBody, broker.limits.bodyBytes)
    const sees = await eyesOf(c)
    const named = body.task === undefined ? body.agent : await agentOfTask(c.get('broker'), body.task)
    await demandSeen(c, named, body.task === undefined ? 'agent' : 'task', sees)
    const simulated = await simulate(c.get('broker'), toRequest(body))
    await demandSeen(c, simulated.agent, 'agent', sees)
    return c.json(renderSimulated(simulated))
  })

  routes.get('/shadow', async c => {
    await operatorFor(c, 'read')
    const paging = query(c, shadowQuery)
    const candidate = c.get('broker').shadow?.status() ?? null
    const hash = candidate?.hash ?? null
    if (hash === null) return c.json({ candidate, items: [], next: null })
    const found = await c.get('broker').ledger.read.shadowDifferences(hash, given(paging))
    return c.json({ candidate, ...(await seenPage(c, found, renderDifference)) })
  })

  return routes
}

type Body = ReturnType<(typeof simulateBody)['parse']>

function toRequest(body: Body): SimulateRequest {
  const { evidence, posture: statements, task, agent, purpose, minutes, ticket } = body
  const of =
    evidence === undefined
      ? { task: task! } // the schema takes one of the two
      : {
          ...{ evidence, purpose },
          ...(statements === undefined ? {} : { statements }),
          ...(agent === undefined ? {} : { agent }),
          ...(minutes === undefined ? {} : { minutes }),
          ...(ticket === undefined ? {} : { ticket: new Secret(ticket) }),
        }
  return { of, asks: body.authorization_details.map(toAsk), ...declaredOf(body) }
}

function renderSimulated({ facts, agent, evidenceUsed, asks, ...simulated }: Simulated) {
  return {
    ...simulated,
    asks: asks.map(({ outcome, requires }) => ({ outcome, requires })),
    agent: agent ?? null,
    evidence_used: evidenceUsed ?? null,
    facts: facts ?? null,
    not_simulated: NOT_SIMULATED,
  }
}

/** What an opening looks at besides. */
const NOT_SIMULATED = ['budgets', 'refusals of operators', 'whether the CI job is running', 'the provider']

function renderDifference(row: ShadowDifferenceRow) {
  return {
    ...row,
    live_by: JSON.parse(row.live_by) as string[],
    shadow_by: JSON.parse(row.shadow_by) as string[],
    first_at: new Date(row.first_at).toISOString(),
    last_at: new Date(row.last_at).toISOString(),
  }
}
