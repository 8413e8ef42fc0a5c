/** What auditors and reviewers ask: the trail of a task, the access of a period, whose a credential is. */
import { Hono } from 'hono'
import type { Broker, Identity } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { actorOf, authenticateOperator, authorizeOperator } from '../broker/people/operators.ts'
import { readReceiptOf } from '../broker/proof/read-receipt.ts'
import { recognise } from '../broker/reviews/recognise.ts'
import { type AgentReview, type Review, reviewPeriod } from '../broker/reviews/review.ts'
import { type Trail, trailOf } from '../broker/reviews/trail.ts'
import { bearer } from './bearer.ts'
import { demandSeen, eyesOf, seen } from './eyes.ts'
import type { Env } from './guard.ts'
import { query } from './page.ts'
import { readJson } from './read-body.ts'
import { renderAudit, renderDecision, renderLease, renderTask } from './render.ts'
import {
  type AgentReviewAnswer,
  type ReviewAnswer,
  recogniseBody,
  reviewQuery,
  type TrailAnswer,
} from './review-schemas.ts'
import { time } from './time.ts'

export function reviewRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/tasks/:id/trail', async c => {
    const within = c.get('broker')
    const trail = await trailOf(within, c.req.param('id'))
    const sees = await eyesOf(c)
    await demandSeen(c, trail.task.agent, 'task', sees)
    const others = {
      ancestors: await seen(trail.ancestors, sees, one => one.agent),
      descendants: await seen(trail.descendants, sees, one => one.agent),
    }
    return c.json(renderTrail({ ...trail, ...others }, await receiptIfAny(within, trail)))
  })

  routes.get('/review', async c => {
    const within = c.get('broker')
    await authorizeOperator(within, await authenticateOperator(within, bearer(c)), 'read')
    const { from, to, agent } = query(c, reviewQuery)
    const sees = await eyesOf(c)
    await demandSeen(c, agent, 'agent', sees)
    const review = await reviewPeriod(within, { from, to }, agent)
    return c.json(renderReview({ ...review, agents: await seen(review.agents, sees, one => one.agent) }))
  })

  routes.post('/credentials/recognise', async c => {
    const within = c.get('broker')
    const operator = await authenticateOperator(within, bearer(c))
    await authorizeOperator(within, operator, 'read')
    const { credentials } = await readJson(c, recogniseBody, broker.limits.bodyBytes)
    return c.json({ items: await recognise(within, credentials, actorOf(operator)) })
  })

  return routes
}

async function receiptIfAny(broker: Broker, { task }: Trail): Promise<string | null> {
  try {
    return (await readReceiptOf(broker, task.id)).jws
  } catch (error) {
    if (error instanceof BrokerError) return null
    throw error
  }
}

function renderTrail(trail: Trail, receipt: string | null): TrailAnswer {
  const { task, ancestors, descendants, asks, decisions, leases, events, complete } = trail
  return {
    task: { ...renderTask(task, asks), identity: JSON.parse(task.identity) as Partial<Identity> },
    ancestors: ancestors.map(one => renderTask(one, [])),
    descendants: descendants.map(one => renderTask(one, [])),
    decisions: decisions.map(renderDecision),
    credentials: leases.map(renderLease),
    events: events.map(renderAudit),
    receipt,
    complete,
  }
}

function renderReview({ period, agents, surplus, unasked }: Review): ReviewAnswer {
  return {
    from: time(period.from),
    to: time(period.to),
    agents: agents.map(renderAgentReview),
    surplus,
    unasked,
  }
}

function renderAgentReview(review: AgentReview): AgentReviewAnswer {
  const { agent, registered, tasks, decisions, credentials, use, proposal } = review
  return {
    agent,
    owner: registered?.owner ?? null,
    risk_tier: registered?.risk_tier ?? null,
    expires_at: registered === undefined ? null : time(registered.expires_at),
    tasks: { opened: tasks.opened, receipts: tasks.receipts, by_end: tasks.byEnd },
    decisions,
    credentials: {
      minted: credentials.minted,
      never_minted: credentials.neverMinted,
      expired_unconfirmed: credentials.expiredUnconfirmed,
      may_have_left_access: credentials.mayHaveLeftAccess,
      by_phase: credentials.byPhase,
      mean_life_ms: credentials.meanLifeMs,
      longest_life_ms: credentials.longestLifeMs,
      longest_past_end_ms: credentials.longestPastEndMs,
    },
    ceiling: Object.entries(use).flatMap(([issuer, { entries }]) =>
      entries.map(({ entry, minted, neverUsed, neverTouched }) => ({
        issuer,
        authorization_details: { type: issuer, ...(entry as object) },
        minted,
        never_used: neverUsed,
        never_touched: neverTouched,
      })),
    ),
    proposed_ceiling: proposal ?? null,
  }
}
