/** What policy is told of one ask: facts that were proven, counted or configured, and the caller's plain words. */
import type { AskFacts } from '../../../issuers/issuer.ts'
import { canonicalDigest } from '../../canonical.ts'
import { MINUTE_MS } from '../../limits.ts'
import { type AgentStatus, agentFacts, type PolicyRequest } from '../../policy/facts.ts'
import { policyStatus } from '../agents/agent-transitions.ts'
import { knownAgent } from '../agents/known-agent.ts'
import type { Broker } from '../broker.ts'
import { humanFacts } from '../people/human.ts'
import { heldBy, NOTHING_HELD } from './held-facts.ts'
import type { Judged, JudgedAsk } from './judged.ts'

/** @param past whether what was given out before is held against it. */
export async function policyRequest(
  broker: Broker,
  about: Judged,
  { issuerName, issuer, ask, approval }: JudgedAsk,
  facts: AskFacts,
  past: 'held against it' | 'left out' = 'held against it',
): Promise<PolicyRequest> {
  const agent = broker.agents().get(about.agent)
  if (agent === undefined) throw new Error(`the agent ${about.agent} is judged and not registered`)
  const now = broker.now()
  const { attestor, subject, claims } = about.identity
  return {
    agent: agentFacts(agent, await statusOf(broker, about)),
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
      held: past === 'left out' ? NOTHING_HELD : await heldBy(broker, about),
      now: Math.floor(now / MINUTE_MS) * MINUTE_MS,
      digest: approval?.digest ?? (isDigestRead(broker) ? canonicalDigest({ issuer: issuerName, ask }) : ''),
      ...(approval === undefined ? {} : { approval }),
    },
  }
}

/** Not read where no policy is there to ask for it: every mint is held to it under its locks. */
async function statusOf(broker: Broker, about: Judged): Promise<AgentStatus> {
  return broker.policy.hash() === 'none'
    ? 'active'
    : policyStatus(await knownAgent(broker, about.agent, about))
}

const isDigestRead = ({ policy, shadow }: Broker) => policy.needs().digest || shadow?.needs().digest
