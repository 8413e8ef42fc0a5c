/** Whose request it is, what it stands on, and whether it may have what it asks for. */
import type { Secret } from '../../../issuers/shared/secret.ts'
import { canonicalDigest } from '../../canonical.ts'
import type { Agent } from '../../policy/agent.ts'
import { matchAgent, matchTrusted } from '../../policy/match-agent.ts'
import type { DecisionRow } from '../../store/rows.ts'
import { holdEvidenceToBuild } from '../agents/agent-certification.ts'
import { demandWorking } from '../agents/agent-transitions.ts'
import { knownAgent } from '../agents/known-agent.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type ParsedAsk, resolveAsks } from '../credentials/resolve-asks.ts'
import { type AskVerdict, decide } from '../decisions/decide.ts'
import { isUnjudged } from '../decisions/judge-line.ts'
import { identityFacts } from '../decisions/judged.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { demandAllowed } from '../decisions/record-decision.ts'
import type { Human } from '../people/human.ts'
import type { PresentedHuman } from '../people/human-token.ts'
import { claimsOf, humanFor } from '../people/on-behalf-of.ts'
import { bindingOf } from './bind-work.ts'
import { openingBounds } from './bounds.ts'
import { refuseSpent, ticketRejected } from './claim-evidence.ts'
import { denyUnmatched } from './deny-unmatched.ts'
import { examineTicket } from './examine-ticket.ts'
import { deadlineOf, type Parent } from './new-task.ts'
import type { OpenRequest } from './open-request.ts'
import { demandPosture, postureOf } from './posture.ts'
import { reuseOf } from './reused-evidence.ts'
import { demandRunning } from './verify-running.ts'

export type Judged = { asks: ParsedAsk[]; decision: DecisionRow; verdicts: readonly AskVerdict[] }

/**
 * Evidence that was used is answered as that, whatever else is wrong with the request: looked up before anything
 * is asked of a provider, and otherwise only where there is a refusal to replace. The ledger's unique key is what
 * decides in the end.
 */
export async function judgeOpening(
  broker: Broker,
  request: OpenRequest,
  { identity, presented, now }: { identity: Identity; presented: PresentedHuman | undefined; now: number },
) {
  const digest = digestOfRequest(broker, request, identity, presented)
  const used = claimsOf(broker, identity, { parent: undefined, presented }, digest)
  const refuseUsed = async () => {
    for (const one of [used.claim, used.beside]) await refuseSpent(broker, one)
  }
  const asksProvider = request.asks.some(({ issuer }) => broker.issuers.get(issuer)?.resolve !== undefined)
  if (asksProvider) await refuseUsed()
  try {
    const agent = await identifyAgent(broker, identity, request, now)
    await holdEvidenceToBuild(broker, agent, identity)
    demandPosture(agent, identity)
    // What bounds it: its own ceiling, and the ticket's and the ancestors' where it is a child.
    const parent = await parentOf(broker, request.ticket, agent)
    const claims = claimsOf(broker, identity, { parent, presented }, digest)
    if (claims.claim?.what === 'ticket') await refuseSpent(broker, claims.claim)
    const { purpose } = request
    const human = await humanFor(broker, { agent, parent, presented }, { identity, purpose })
    const judged = await judgeAsks(broker, agent, identity, { parent, human }, request)
    const binding = await bindingOf(broker, identity, request.lifetime)
    await demandRunning(broker, agent, identity)
    const reuse = reuseOf(broker, identity, request.held ?? {}, digest)
    return { agent, parent, human, ...claims, reuse, judged, binding }
  } catch (error) {
    if (!asksProvider) await refuseUsed()
    throw error
  }
}

async function identifyAgent(
  broker: Broker,
  identity: Identity,
  { agent: named, trusted }: Pick<OpenRequest, 'agent' | 'trusted'>,
  now: number,
): Promise<Agent> {
  const match =
    trusted === undefined
      ? matchAgent(broker.agents().values(), identity, named, now)
      : matchTrusted(broker.agents().get(named ?? ''), identity, trusted.audiences, now)
  if (match === undefined)
    throw new BrokerError('configuration_stale', 'the agent was just registered, and is not known here yet')
  if (match.ok) return match.agent
  throw await denyUnmatched(broker, identity, match)
}

async function parentOf(
  broker: Broker,
  ticket: Secret | undefined,
  agent: Agent,
): Promise<Parent | undefined> {
  if (ticket === undefined) return undefined
  const examined = await examineTicket(broker, ticket, agent.name)
  if (!examined.ok) throw ticketRejected()
  return examined.parent
}

/** @param standing whether it is asked for before the locks; always, where somebody else is told of the asks. */
export async function judgeAsks(
  broker: Broker,
  agent: Agent,
  identity: Identity,
  { parent, human }: { parent: Parent | undefined; human: Human | undefined },
  request: OpenRequest,
  standing: 'asking' | 'under locks' = 'under locks',
): Promise<Judged> {
  const bounds = await openingBounds(broker, agent.name, parent)
  const { minutes, purpose } = request
  const recall = request.mintFirst && standing === 'under locks' ? { mayRecall: true as const } : {}
  const asking = { agent: agent.name, identity: identityFacts(identity), purpose }
  await demandStanding(broker, asking, recall)
  const asks = await resolveAsks(broker, request.asks, { bounds, agent: agent.name })
  const isJudgedAlone = isUnjudged(broker) && human === undefined
  const about = {
    ...{ task: null, ...asking, ...recall },
    deadline: deadlineOf(broker, { agent, parent, minutes }, broker.now()),
    line: parent?.line ?? [],
    ...(request.declared === undefined ? {} : { declared: request.declared }),
    ...(human === undefined ? {} : { human }),
    ...(isJudgedAlone && standing === 'under locks' ? { heldUnderLocks: true as const } : {}),
  }
  const { row: decision, asks: verdicts } = await decide(broker, about, asks, bounds)
  await demandAllowed(broker, decision, 'the agent may not have what was asked')
  return { asks, decision, verdicts }
}

/**
 * How the agent stands comes before what policy says of it. Where no policy is in force nobody asks for it here, and
 * the locks refuse.
 */
async function demandStanding(
  broker: Broker,
  about: { agent: string; identity: object; purpose: string },
  recall: { mayRecall?: true },
): Promise<void> {
  if (broker.policy.hash() === 'none') return
  const row = await knownAgent(broker, about.agent, recall)
  if (row === undefined || row.standing === 'active') return
  await keepRefusal(broker, { task: null, agent: about.agent, facts: JSON.stringify(about) }, async () =>
    demandWorking(row, []),
  )
}

/** What a retry must repeat to be one: the request, by the same workload. The ticket is named by its hash. */
function digestOfRequest(
  broker: Broker,
  request: OpenRequest,
  { attestor, issuer, subject, claims }: Identity,
  presented: PresentedHuman | undefined,
): string {
  const { agent = null, purpose, minutes = null, heartbeatSeconds = null, asks, mintFirst } = request
  const { lifetime = null, declared = null, wish = {} } = request
  const ticket = request.ticket === undefined ? null : canonicalDigest(request.ticket.reveal())
  const wanted = { agent, purpose, minutes, heartbeatSeconds, asks, mintFirst, ticket, lifetime, declared }
  const human = presented === undefined ? {} : { human: presented.human.use }
  // A thief's copy of the request without the keys that were shown with it, or with another, is another request.
  const keys = request.held ?? {}
  // Fresh statements that say the same are the same request; those that say something else are judged anew.
  const proven = postureOf(broker, claims)
  const posture = Object.keys(proven).length === 0 ? {} : { posture: proven }
  return canonicalDigest({
    ...wanted,
    wish,
    ...human,
    ...keys,
    ...posture,
    by: { attestor, issuer, subject },
  })
}
