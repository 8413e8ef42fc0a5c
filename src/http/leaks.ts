/** Reports of leaked secrets: by operators, and by whoever holds one. */
import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { inertText } from '../broker/inert-text.ts'
import { type FoundLeak, findLeak, type Sighting } from '../broker/leaks/find-leak.ts'
import { type Reported, reportLeak } from '../broker/leaks/report-leak.ts'
import { actorOf, authorizeOperator, type Operator } from '../broker/people/operators.ts'
import type { LeakRow } from '../store/rows.ts'
import { seenPage } from './eyes.ts'
import type { Env } from './guard.ts'
import { foundBody, leakBody, leaksQuery } from './leak-schemas.ts'
import { operatorFor } from './operator-guard.ts'
import { given, query } from './page.ts'
import { createRateLimiter } from './rate-limit.ts'
import { readJson } from './read-body.ts'
import { time } from './time.ts'

/** `/v1/leaks`; mounted where operators are authenticated. */
export function leakRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.post('/', async c => {
    const within = c.get('broker')
    const operator = await operatorFor(c, 'read')
    const { sightings, reason, dry_run } = await readJson(c, leakBody, broker.limits.bodyBytes)
    const items: object[] = []
    for (const sighting of sightings)
      items.push(await reportFor(within, operator, sighting, { reason, isDry: dry_run }))
    return c.json({ dry_run, items })
  })

  routes.get('/', async c => {
    const found = await broker.ledger.read.leaks(given(query(c, leaksQuery)))
    return c.json(await seenPage(c, found, renderLeak))
  })

  return routes
}

/**
 * `POST /v1/leaks/found`, for everybody: whoever holds a secret may end it. The answer is the same for one that
 * nobody knows.
 */
export function foundRoutes({ limits, now }: Broker): Hono<Env> {
  const reports = createRateLimiter(limits.foundPerMinutePerSource, limits.rateSources, now)
  const routes = new Hono<Env>()
  routes.post('/', async c => {
    reports.take(c.get('source'))
    const within = c.get('broker')
    const { token, lease, reason = 'found' } = await readJson(c, foundBody, limits.bodyBytes)
    // What is written down for ever is chosen by a stranger: only in the words of those who hold one of ours.
    const found = await heldBy(within, token, lease)
    if (found !== undefined) await reportLeak(within, found, { source: 'holder', by: 'holder', reason })
    return c.json({ reported: true }, 202)
  })
  return routes
}

/** What the secret is; or, where that is the token of a task, the credential of it that is named. */
async function heldBy(
  broker: Broker,
  token: string,
  lease: string | undefined,
): Promise<FoundLeak | undefined> {
  const held = await findLeak(broker, { token }, { named: false })
  if (lease === undefined || held?.kind !== 'task_token') return held
  const named = await findLeak(broker, { lease }, { named: true })
  return named?.task?.id === held.task?.id ? named : held
}

/** What an operator may not revoke is answered as unknown; whoever shows the secret itself ends it all the same. */
async function reportFor(
  broker: Broker,
  operator: Operator,
  sighting: Sighting,
  { reason, isDry }: { reason: string; isDry: boolean },
): Promise<object> {
  const found = await findLeak(broker, sighting, { named: true })
  const by = actorOf(operator)
  if (found === undefined) return render(undefined, undefined)
  if (await mayRevoke(broker, operator, found)) {
    if (isDry) return render(found, undefined)
    return render(found, await reportLeak(broker, found, { source: 'operator', by, reason }))
  }
  const shown = 'token' in sighting ? await findLeak(broker, sighting, { named: false }) : undefined
  if (!isDry && shown !== undefined) await reportLeak(broker, shown, { source: 'holder', by, reason })
  return render(undefined, undefined)
}

async function mayRevoke(broker: Broker, operator: Operator, { task }: FoundLeak): Promise<boolean> {
  try {
    await authorizeOperator(broker, operator, 'revoke', task === undefined ? {} : { agent: task.agent })
    return true
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'forbidden') return false
    throw error
  }
}

/** The same members whether or not it is known. */
function render(found: FoundLeak | undefined, done: Reported | undefined) {
  return {
    known: found !== undefined,
    kind: found?.kind ?? null,
    subject: found?.subject ?? null,
    task: found?.task?.id ?? null,
    task_state: found?.task?.state ?? null,
    agent: found?.task?.agent ?? null,
    issuer: found?.lease?.issuer ?? null,
    over_since: time(found?.overSince ?? null),
    reported_before: done === undefined ? null : !done.isFirst,
    tasks_ended: done?.ended ?? 0,
    quarantined: done?.quarantined ?? null,
  }
}

function renderLeak({ quarantined, reason, reported_at, last_at, ...row }: LeakRow) {
  const at = { reported_at: time(reported_at), last_reported_at: time(last_at) }
  return { ...row, ...at, reason: inertText(reason), quarantine: quarantined === 1 }
}
