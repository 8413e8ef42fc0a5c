/**
 * One decision: the bounds first (ceilings and tickets), then policy. An ask is allowed where both allow it; the
 * decision allows where every ask is allowed, and denies where one is denied.
 */
import { canonicalDigest } from '../../canonical.ts'
import type { ApprovalRequirement, PolicyRequest, PolicyVerdict } from '../../policy/facts.ts'
import { type Bounds, judgeAsk } from '../../policy/judge-ask.ts'
import type { Seen } from '../../policy/shadow.ts'
import type { DecisionRow } from '../../store/rows.ts'
import { quarantineOf } from '../agents/agent-quarantine.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { shownHuman } from '../people/human.ts'
import { humanAccess } from '../people/human-access.ts'
import { heldAsTold } from './held-facts.ts'
import { judgeLine } from './judge-line.ts'
import type { Judged, JudgedAsk } from './judged.ts'
import { newDecision } from './record-decision.ts'

/** How one ask fared, in the order in which they were given; `digest` is of its canonical form. */
export type AskVerdict = {
  outcome: DecisionRow['outcome']
  requires: readonly ApprovalRequirement[]
  digest: string
}

export type Decision = { row: DecisionRow; asks: readonly AskVerdict[] }

/** All of these asks within all of these bounds and policies, or none. Made, not yet recorded. */
export async function decide(
  broker: Broker,
  about: Judged,
  asks: readonly JudgedAsk[],
  bounds: Bounds,
): Promise<Decision> {
  let judged = await judgeAll(broker, about, asks, bounds)
  if (about.mayRecall && judged.some(({ outcome }) => outcome !== 'allow')) {
    // All of it, by what is read now: nothing of the first judgement is recorded, or minted by.
    const { mayRecall: _, ...read } = about
    broker.knownAgents?.clear()
    broker.turns?.clear()
    judged = await judgeAll(broker, read, asks, bounds)
  }
  const outcome = (['deny', 'needs_approval'] as const).find(one => judged.some(ask => ask.outcome === one))
  const telling = outcome === undefined ? judged : judged.filter(ask => ask.outcome === outcome)
  const row = newDecision(broker, {
    task: about.task,
    agent: about.agent,
    outcome: outcome ?? 'allow',
    reasons: telling.flatMap(one => one.reasons),
    facts: {
      ...{ identity: about.identity, agent: about.agent, purpose: about.purpose },
      ...(about.human === undefined ? {} : { human: shownHuman(about.human) }),
      ...(about.declared === undefined ? {} : { declared: about.declared }),
      asks: judged.map(({ facts }) => facts),
    },
  })
  for (const { seen } of judged)
    if (seen !== undefined) broker.shadow?.observe({ ...seen, decision: about.before ?? row.id })
  return {
    row,
    asks: judged.map(({ outcome, requires, facts: { digest } }) => ({ outcome, requires, digest })),
  }
}

type OneAsk = Omit<AskVerdict, 'digest'> & {
  reasons: readonly string[]
  facts: { digest: string; [name: string]: unknown }
  seen?: Omit<Seen, 'decision'> | undefined
}

const judgeAll = (broker: Broker, about: Judged, asks: readonly JudgedAsk[], bounds: Bounds) =>
  Promise.all(asks.map(ask => judgeOne(broker, about, ask, bounds)))

async function judgeOne(broker: Broker, about: Judged, asked: JudgedAsk, bounds: Bounds): Promise<OneAsk> {
  const { issuerName, issuer, ask } = asked
  const within = judgeAsk(issuerName, issuer, ask, bounds)
  const plain = { issuer: issuerName, ...within.facts, digest: canonicalDigest(ask) }
  if (within.outcome === 'deny') {
    const { outcome, reasons, beyond } = within
    return { outcome, reasons, requires: [], facts: { ...plain, beyond } }
  }
  const quarantine = await quarantineOf(broker, about, within.facts.phase)
  if (quarantine !== undefined) return { outcome: 'deny', requires: [], reasons: [quarantine], facts: plain }
  const { request, own, verdict } = await judgeLine(broker, about, asked, within.facts)
  if (verdict.failed)
    throw new BrokerError('policy_unavailable', 'policy could not be judged; try again', {
      retryAfterMs: broker.limits.policyRetryAfterMs,
    })
  const facts = {
    ...plain,
    ...(request === undefined ? {} : told(broker, request)),
    ...explained(verdict),
  }
  const seen = request && { request, declared: about.declared, verdict: own, hash: broker.policy.hash() }
  // The provider is asked last, and only about what is allowed otherwise.
  const access = verdict.outcome === 'deny' ? undefined : await humanAccess(broker, about, asked)
  if (access?.allowed === false)
    return { outcome: 'deny', requires: [], reasons: [access.detail], facts: { ...facts, human: 'no' }, seen }
  return {
    outcome: verdict.outcome,
    requires: verdict.requires,
    reasons: verdict.reasons.length > 0 ? verdict.reasons : within.reasons,
    facts: { ...facts, ...(access === undefined ? {} : { human: 'yes' }) },
    seen,
  }
}

/** What policy was told besides; nothing where there is none. */
function told({ policy }: Broker, { context, human }: PolicyRequest): object {
  if (policy.hash() === 'none') return {}
  const { ttlSeconds, parents, revocability, held, approval, now } = context
  const names = policy.needs().held
  return {
    context: {
      ...{ ttlSeconds, parents, revocability, now },
      ...(names.length === 0 ? {} : { held: heldAsTold(held, names) }),
      ...(approval === undefined ? {} : { approval }),
      ...(human === undefined ? {} : { human }),
    },
  }
}

/** What is kept of a verdict; nothing where no policy had a part in it. */
export function explained({ outcome, determining, requires, nearest }: PolicyVerdict): object {
  return {
    ...(determining.length === 0 && outcome === 'allow' ? {} : { outcome, determining }),
    ...(requires.length === 0 ? {} : { requires }),
    ...(nearest.length === 0 ? {} : { nearest }),
  }
}
