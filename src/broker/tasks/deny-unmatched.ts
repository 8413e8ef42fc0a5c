import { createHash } from 'node:crypto'
import { newId } from '../../keys/ids.ts'
import type { AgentMatch } from '../../policy/match-agent.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { identityFacts } from '../decisions/judged.ts'
import { newDecision, recordDenial } from '../decisions/record-decision.ts'

/**
 * Nobody's workload, and anybody's: whoever has a repository can show its evidence as often as they like. So
 * one piece of evidence is written down once for each reason, with no more of its claims than a page.
 *
 * @returns what the caller is told, with the decision.
 */
export async function denyUnmatched(
  broker: Broker,
  identity: Identity,
  match: Extract<AgentMatch, { ok: false }>,
): Promise<BrokerError> {
  const { id: use, until } = identity.replay
  const digest = createHash('sha256').update(`${match.why}\0${use}`).digest()
  const decision = {
    ...newDecision(broker, {
      ...{ task: null, agent: null, outcome: 'deny' },
      reasons: [`agent: ${match.why}: ${match.near}`],
      facts: {
        identity: { ...identityFacts(identity), ...firstClaims(identity, broker.limits.strangerChars) },
      },
    }),
    // The same for every showing of the evidence.
    id: newId('dec', Math.floor(until), size => digest.subarray(0, size)),
  }
  await broker.ledger.write(async tx => {
    if (await tx.takeBudget(`denied/${decision.id}`, 1, until + broker.limits.clockSkewMs))
      await recordDenial(tx, decision)
  })
  const shown = { decision: decision.id }
  return match.why === 'event'
    ? new BrokerError('event_not_allowed', 'no agent of this workload may act on this event', shown)
    : new BrokerError('agent_unmatched', 'no single registered agent matches this workload', shown)
}

/** Attestors give claims in the order of their worth: ids and names before what a stranger may fill. */
function firstClaims({ claims, subject }: Identity, chars: number) {
  const all = Object.entries(claims)
  let room = chars
  const kept = all.filter(([name, value]) => {
    const size = JSON.stringify([name, value]).length
    if (size > room) return false
    room -= size
    return true
  })
  return {
    subject: subject.slice(0, chars),
    claims: Object.fromEntries(kept),
    ...(kept.length === all.length ? {} : { claims_left_out: all.length - kept.length }),
  }
}
