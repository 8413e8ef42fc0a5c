/** `/v1/attestors`: what attestors make of a piece of evidence. */
import { type Context, Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { actorOf } from '../broker/people/operators.ts'
import type { EvidenceReport } from '../broker/tasks/check-evidence.ts'
import { checkEvidenceHere } from '../broker/tasks/check-evidence-here.ts'
import { withoutEvidence } from '../broker/tasks/without-evidence.ts'
import { checkEvidenceBody } from './attestor-schemas.ts'
import { demandSeen, eyesOf, type Sees, seen } from './eyes.ts'
import type { Env } from './guard.ts'
import { operatorFor } from './operator-guard.ts'
import { createRateLimiter } from './rate-limit.ts'
import { readJson } from './read-body.ts'
import { renderEvidenceCheck } from './render-evidence-check.ts'

/** Mounted where operators are authenticated. */
export function attestorRoutes({ limits, now }: Broker): Hono<Env> {
  // Each costs a signature, and at times a fetch of keys: as many as exchanges.
  const checks = createRateLimiter(limits.exchangesPerMinutePerSource, limits.rateSources, now)
  const routes = new Hono<Env>()

  /** Reads only, though it is told of with a POST: evidence does not belong into a URL. */
  routes.post('/check', async c => {
    const operator = await operatorFor(c, 'read')
    checks.take(c.get('source'))
    const { evidence, agent } = await readJson(c, checkEvidenceBody, limits.bodyBytes)
    const sees = await eyesOf(c)
    await demandSeen(c, agent, 'agent', sees)
    const { report, used } = await checkEvidenceHere(c.get('broker'), actorOf(operator), { evidence, agent })
    return c.json(withoutEvidence(renderEvidenceCheck(await asSeen(c, report, sees), used), evidence))
  })

  return routes
}

/** Rules say what a team trusts: those of others are left out, and so is what others would take. */
async function asSeen(c: Context<Env>, report: EvidenceReport, sees: Sees): Promise<EvidenceReport> {
  const { attestor, match } = report
  await demandSeen(c, placeOf(attestor), 'attestor', sees)
  if (match?.ok) await demandSeen(c, match.agent.name, 'agent', sees)
  const agents = (await seen(report.agents, sees, ({ agent }) => agent)).slice(
    0,
    c.get('broker').limits.pageItems,
  )
  const isWhole = agents.length === report.agents.length
  return {
    ...report,
    agents,
    nearly: await seen(report.nearly, sees, ({ attestor }) => placeOf(attestor)),
    ...(isWhole || match === undefined || match.ok
      ? {}
      : { match: { ...match, near: 'see the agents that are shown' } }),
  }
}

/** What teams registered is theirs to see; the operator's own attestors are everybody's who reads. */
function placeOf(attestor: string | undefined): string | null {
  return attestor?.includes('.') ? attestor : null
}
