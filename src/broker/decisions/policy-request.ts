/** What policy is told of one ask: facts that were proven, counted or configured, and the caller's plain words. */
import type { AskFacts, Phase } from '../../../issuers/issuer.ts'
import { canonicalDigest } from '../../canonical.ts'
import { type AgentStatus, agentFacts, type HeldFacts, type PolicyRequest } from '../../policy/facts.ts'
import { policyStatus } from '../agents/agent-transitions.ts'
import type { Broker } from '../broker.ts'
import { noteTurns } from '../credentials/held-turns.ts'
import { humanFacts } from '../people/human.ts'
import type { Judged, JudgedAsk } from './judged.ts'

export const NOTHING_HELD: HeldFacts = {
  phases: { lineage: [], agent: [], owner: [] },
  credentials: { lineage: 0, agent: 0, owner: 0 },
}

export async function policyRequest(
  broker: Broker,
  about: Judged,
  { issuerName, issuer, ask, approval }: JudgedAsk,
  facts: AskFacts,
): Promise<PolicyRequest> {
  const agent = broker.agents().get(about.agent)
  if (agent === undefined) throw new Error(`the agent ${about.agent} is judged and not registered`)
  const now = broker.now()
  const { attestor, subject, claims } = about.identity
  return {
    agent: agentFacts(agent, await statusOf(broker, agent.name)),
    ...(about.human === undefined ? {} : { human: humanFacts(about.human) }),
    issuer: issuerName,
    phase: facts.phase,
    resources: facts.resources,
    context: {
      attestor,
      subject,
      claims,
      purpose: about.purpose,
      ttlSeconds: Math.max(0, Math.ceil((about.deadline - now) / 1_000)),
      parents: about.line.map(task => task.agent),
      permissions: facts.permissions,
      targets: facts.targets ?? [],
      revocability: issuer.revocabilityOf?.(ask) ?? issuer.revocability,
      mayLeaveAccess: facts.mayLeaveAccess,
      held: needsHeld(broker) ? await heldBy(broker, about) : NOTHING_HELD,
      now: Math.floor(now / MINUTE_MS) * MINUTE_MS,
      digest: approval?.digest ?? canonicalDigest({ issuer: issuerName, ask }),
      ...(approval === undefined ? {} : { approval }),
    },
  }
}

/** Not read where no policy is there to ask for it: every mint is held to it under its locks. */
async function statusOf(broker: Broker, agent: string): Promise<AgentStatus> {
  return broker.policy.hash() === 'none' ? 'active' : policyStatus(await broker.ledger.read.agent(agent))
}

const needsHeld = ({ policy, shadow }: Broker) => policy.needs().held || shadow?.needs().held === true

/** What the line, the agent and its owner's agents were given in the window that ends now. */
async function heldBy(broker: Broker, { agent, task, line }: Judged): Promise<HeldFacts> {
  const since = broker.now() - broker.limits.policyWindowMs
  const owner = broker.agents().get(agent)?.owner.business
  const mates = [...broker.agents().values()].filter(one => one.owner.business === owner)
  const root = line[0]?.id ?? task
  await noteTurns(broker, agent, root)
  const { minted } = broker.ledger.read
  const [lineage, own, owned] = await Promise.all([
    root === null ? [] : minted({ root }, since),
    minted({ agents: [agent] }, since),
    minted({ agents: mates.map(one => one.name) }, since),
  ])
  return {
    phases: { lineage: phasesOf(lineage), agent: phasesOf(own), owner: phasesOf(owned) },
    credentials: { lineage: countOf(lineage), agent: countOf(own), owner: countOf(owned) },
  }
}

type Minted = readonly { phase: Phase | null; count: number }[]

const phasesOf = (minted: Minted) => minted.flatMap(({ phase }) => (phase === null ? [] : [phase])).sort()
const countOf = (minted: Minted) => minted.reduce((sum, { count }) => sum + count, 0)

const MINUTE_MS = 60_000
