/** Agents: how they stand, and who changes that. Declaring one is elsewhere: in files, or by registering it. */
import { type Context, Hono } from 'hono'
import { certifyAgent } from '../broker/agents/agent-certification.ts'
import { changeStanding, readAgent } from '../broker/agents/agent-standing.ts'
import {
  GOALS,
  isDone,
  isWidening,
  type StandingVerb,
  transitionOf,
} from '../broker/agents/agent-transitions.ts'
import { type AgentView, viewAgent, viewAgents } from '../broker/agents/agent-view.ts'
import { type OffboardingReport, offboardingReport } from '../broker/agents/offboarding-report.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { actorOf, type Operator } from '../broker/people/operators.ts'
import { canonicalDigest } from '../canonical.ts'
import { agentsQuery, certifyBody, standingBody } from './agent-schemas.ts'
import { demandSeen, eyesOf, seen } from './eyes.ts'
import type { Env } from './guard.ts'
import { freshOperatorFor, operatorFor } from './operator-guard.ts'
import { query } from './page.ts'
import { readJson } from './read-body.ts'
import { renderLease } from './render.ts'
import { time } from './time.ts'

export function agentRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/', async c => {
    const { flag } = query(c, agentsQuery)
    const views = await viewAgents(c.get('broker'), flag)
    const items = await seen(views, await eyesOf(c), view => view.row.name)
    return c.json({ items: items.map(renderView), next: null })
  })

  routes.get('/:name', async c => {
    const name = c.req.param('name')
    await demandSeen(c, name, 'agent')
    return c.json(renderView(await viewAgent(c.get('broker'), name)))
  })

  routes.get('/:name/offboarding', async c => {
    const name = c.req.param('name')
    await demandSeen(c, name, 'agent')
    return c.json(renderReport(await offboardingReport(c.get('broker'), name)))
  })

  for (const verb of Object.keys(GOALS) as StandingVerb[])
    routes.post(`/:name/${verb}`, async c => c.json(renderView(await change(c, c.req.param('name'), verb))))

  routes.post('/:name/certify', async c => {
    const body = await readJson(c, certifyBody, broker.limits.bodyBytes)
    const agent = c.req.param('name')
    const { reason, digest, valid_until } = body
    const boundTo = canonicalDigest({ verb: 'certify', agent, reason, digest: digest ?? null, valid_until })
    const operator = await freshOperatorFor(c, 'widen', { boundTo, idToken: body.id_token, on: { agent } })
    const build = digest === undefined ? {} : { build: digest }
    const until = Date.parse(valid_until)
    demandHuman(c.get('broker'), operator)
    await certifyAgent(c.get('broker'), { agent, ...build, until, reason }, actorOf(operator))
    return c.json(renderView(await viewAgent(c.get('broker'), agent)))
  })

  return routes
}

/** Narrowing takes a session; whatever lets the agent do more takes a sign-in for it alone. */
async function change(c: Context<Env>, agent: string, verb: StandingVerb): Promise<AgentView> {
  const broker = c.get('broker')
  const { reason, id_token: idToken } = await readJson(c, standingBody, broker.limits.bodyBytes)
  // Who may look at none must not learn which there are.
  await operatorFor(c, 'read', { agent })
  const { standing } = await readAgent(broker, agent)
  // What is possible for nobody is told as that, and not as a right or a sign-in that is missing.
  const to = isDone(standing, verb) ? standing : transitionOf(standing, verb)
  const mayWiden = isWidening(standing, to)
  const operator = mayWiden
    ? await freshOperatorFor(c, 'widen', {
        ...{ boundTo: canonicalDigest({ verb, agent, reason }), idToken, on: { agent } },
      })
    : await operatorFor(c, 'narrow', { agent })
  if (mayWiden) demandHuman(broker, operator)
  await changeStanding(broker, { agent, verb, reason, cause: 'operator', mayWiden }, actorOf(operator))
  return viewAgent(broker, agent)
}

/** Where humans sign in, an operator token widens nothing. @throws BrokerError `forbidden` */
function demandHuman({ people }: Broker, { kind }: Operator): void {
  if (kind === 'human' || people.signIn === undefined) return
  throw new BrokerError('forbidden', 'a human signs in to do this: an operator token is not enough')
}

function renderView({ row, document, status, use, flags }: AgentView) {
  const { name, digest, updated_at } = row
  return {
    ...{ name, status, digest, updated_at: time(updated_at) },
    ...document,
    flags,
    standing: {
      ...{ since: time(row.standing_at), by: row.standing_by, reason: row.standing_reason },
      ...{ cause: row.standing_cause, revocation: row.standing_run },
    },
    certified: {
      ...{ build: row.certified_build, until: time(row.certified_until) },
      ...{ by: row.certified_by, at: time(row.certified_at) },
    },
    active_tasks: use.active_tasks,
    outstanding_credentials: use.outstanding_leases,
    last_used: time(use.last_opened_at),
  }
}

function renderReport({
  view,
  run,
  progress,
  leases,
  complete,
  receipts,
  bindings,
  open,
}: OffboardingReport) {
  const { row, document, status } = view
  return {
    ...{ agent: row.name, status, since: time(run.created_at), by: run.actor, reason: run.reason },
    ...{ owner: document.owner, systems: document.systems, revocation: run.id },
    tasks: { ended: run.tasks_ended, complete: receipts.complete, receipts: receipts.items },
    credentials: { ...progress, complete, items: leases.map(renderLease) },
    bindings: {
      attest_rules_void: bindings.attestRules,
      delegated_from: bindings.delegatedFrom,
      delegated_to: bindings.delegatedTo,
      preapprovals_open: bindings.preapprovalsOpen,
    },
    open,
  }
}
