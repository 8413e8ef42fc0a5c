/**
 * What would come of this evidence, or this task, and these asks. Nothing is opened, minted, used up or asked of a
 * provider, and no decision is kept. For operators: it says more than a caller may learn.
 */
import type { Evidence } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { Agent } from '../../policy/agent.ts'
import type { Declared } from '../../policy/facts.ts'
import type { Bounds } from '../../policy/judge-ask.ts'
import { matchAgent } from '../../policy/match-agent.ts'
import type { DecisionRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type ParsedAsk, parseAsks, type WantedAsk } from '../credentials/resolve-asks.ts'
import { type Human, humanOf } from '../people/human.ts'
import { refusalToAct } from '../people/on-behalf-of.ts'
import { examine } from '../tasks/attest.ts'
import { boundsOf, openingBounds } from '../tasks/bounds.ts'
import { examineTicket } from '../tasks/examine-ticket.ts'
import { deadlineOf, type Parent } from '../tasks/new-task.ts'
import { examinePosture, missingPosture } from '../tasks/posture.ts'
import { verifiedTask } from '../verified-rows.ts'
import { type AskVerdict, decide } from './decide.ts'
import { identityFacts, type Judged, judgedTask } from './judged.ts'

export type SimulateRequest = {
  of:
    | { task: string }
    | {
        evidence: Evidence
        /** About where it runs; the keys that they name are taken to be shown. */
        statements?: readonly Evidence[]
        agent?: string
        purpose: string
        minutes?: number
        /** Where it would be a child: of the task that gave it. */
        ticket?: Secret
      }
  asks: readonly WantedAsk[]
  declared?: Declared
}

export type Simulated = {
  outcome: DecisionRow['outcome']
  /** How far it came. */
  stage: 'attest' | 'match' | 'decide'
  reasons: readonly string[]
  /** As a decision would keep them; absent where it did not come so far. */
  facts?: unknown
  asks: readonly AskVerdict[]
  agent?: string
  /** Whether a task was opened with this evidence before: then it opens no other. */
  evidenceUsed?: boolean
  /** Asks, from 0, that were judged by the names in them, since nobody was asked for their ids. */
  unresolved: readonly number[]
}

/** @throws BrokerError `ask_invalid`, `not_found`, `attestation_unavailable`, `policy_unavailable` */
export async function simulate(broker: Broker, request: SimulateRequest): Promise<Simulated> {
  // A simulation is not traffic: the candidate set is not shown it.
  const { shadow: _, ...rest } = broker
  const aside: Broker = { ...rest, policy: broker.policy.inForce?.() ?? broker.policy }
  const { of, asks, declared } = request
  const wanted = parseAsks(aside, asks)
  const said = declared === undefined ? {} : { declared }
  if ('task' in of) {
    const task = await aside.ledger.read.task(of.task)
    if (task === undefined || task.system === 1) throw new BrokerError('not_found', 'no such task')
    verifiedTask(aside, task)
    if (task.state !== 'active') return refused('match', ['the task has ended'], { agent: task.agent })
    const line = await aside.ledger.read.ancestors(task.id)
    const bounds = await boundsOf(aside, [...line, task])
    return judge(aside, { ...judgedTask(task, line), ...said, supposed: true }, wanted, bounds)
  }
  const examined = await examine(aside, of.evidence)
  if (!examined.ok) {
    const { attestor, rejection, detail } = examined
    return refused('attest', [`${attestor}: ${rejection}: ${detail}`], {})
  }
  const stated = await examinePosture(aside, of.statements ?? [], { ...examined.identity, held: 'any' })
  if (!stated.ok) {
    const { attestor, rejection, detail } = stated
    return refused('attest', [`${attestor}: ${rejection}: ${detail}`], {})
  }
  const claims = Object.assign({}, examined.identity.claims, ...stated.proven.values())
  const identity: Identity = { ...examined.identity, claims }
  const used = (await aside.ledger.read.evidence(identity.replay.id)) !== undefined
  const match = matchAgent(aside.agents().values(), identity, of.agent, await aside.ledger.now())
  if (!match.ok) return refused('match', [`agent: ${match.why}: ${match.near}`], { evidenceUsed: used })
  const { agent } = match
  const missing = missingPosture(agent, claims)
  if (missing !== undefined)
    return refused('match', [`posture: a statement of ${missing} is needed`], { agent: agent.name })
  const above = of.ticket === undefined ? undefined : await standing(aside, of.ticket, agent)
  if (above?.ok === false) return refused('match', [above.detail], { agent: agent.name, evidenceUsed: used })
  const { parent, human } = above ?? {}
  const about: Judged = {
    ...{ task: null, agent: agent.name, identity: identityFacts(identity), purpose: of.purpose },
    deadline: deadlineOf(aside, { agent, parent, minutes: of.minutes }, aside.now()),
    line: parent?.line ?? [],
    ...(human === undefined ? {} : { human, supposed: true }),
    ...said,
  }
  const simulated = await judge(aside, about, wanted, await openingBounds(aside, agent.name, parent))
  return { ...simulated, evidenceUsed: used }
}

type Above = { ok: true; parent: Parent; human?: Human } | { ok: false; detail: string }

/** Under whom it would be opened, and on whose behalf. What redeeming the ticket would find is looked at, too. */
async function standing(broker: Broker, ticket: Secret, agent: Agent): Promise<Above> {
  const examined = await examineTicket(broker, ticket, agent.name)
  if (!examined.ok) return { ok: false, detail: `ticket: ${examined.detail}` }
  const { parent } = examined
  if (parent.ticket.state !== 'open') return { ok: false, detail: 'ticket: it was used before' }
  if (parent.ticket.expires_at <= (await broker.ledger.now()))
    return { ok: false, detail: 'ticket: it is past its time' }
  const { human } = humanOf(verifiedTask(broker, parent.line.at(-1)!))
  if (human === undefined) return { ok: true, parent }
  const detail = refusalToAct(agent, human)
  return detail === undefined ? { ok: true, parent, human } : { ok: false, detail }
}

async function judge(
  broker: Broker,
  about: Judged,
  wanted: readonly ParsedAsk[],
  bounds: Bounds,
): Promise<Simulated> {
  const unresolved: number[] = []
  const asks: ParsedAsk[] = []
  for (const [index, one] of wanted.entries()) {
    const resolved = await resolveUnasked(one)
    if (resolved === undefined) unresolved.push(index)
    asks.push(resolved ?? one)
  }
  const { row, asks: verdicts } = await decide(broker, about, asks, bounds)
  return {
    ...{ outcome: row.outcome, stage: 'decide', asks: verdicts, agent: about.agent, unresolved },
    reasons: JSON.parse(row.reasons) as string[],
    facts: JSON.parse(row.facts) as unknown,
  }
}

class NobodyAsked extends Error {}

/** As far as the issuer knows names already; undefined where it would have to ask its provider. */
async function resolveUnasked(one: ParsedAsk): Promise<ParsedAsk | undefined> {
  const { issuer, ask } = one
  if (issuer.resolve === undefined) return one
  try {
    const outcome = await issuer.resolve(ask, () => Promise.reject(new NobodyAsked()))
    return outcome.ok ? { ...one, ask: outcome.ask } : undefined
  } catch (error) {
    if (error instanceof NobodyAsked) return undefined
    throw error
  }
}

function refused(
  stage: Simulated['stage'],
  reasons: readonly string[],
  more: Pick<Simulated, 'agent' | 'evidenceUsed'>,
): Simulated {
  return { outcome: 'deny', stage, reasons, asks: [], unresolved: [], ...more }
}
