/** Whether a live credential would be minted now, as things are. */
import type { Issuer } from '../../../issuers/issuer.ts'
import { canonicalDigest } from '../../canonical.ts'
import type { ApprovalRequirement, Declared, PolicyVerdict } from '../../policy/facts.ts'
import { type Bounds, judgeAsk } from '../../policy/judge-ask.ts'
import { judgeNarrowOnly, stricter } from '../../policy/narrow-only.ts'
import type { DecisionRow, LeaseRow, TaskRow } from '../../store/rows.ts'
import { verifiedApproval } from '../approvals/verified-approvals.ts'
import type { Broker } from '../broker.ts'
import { isUnaltered } from '../verified-rows.ts'
import { explained } from './decide.ts'
import { judgedAbove } from './judge-line.ts'
import { declaredIn, type Judged, judgedTask } from './judged.ts'
import { policyRequest } from './policy-request.ts'
import { newDecision } from './record-decision.ts'

export type Live = { task: TaskRow; above: readonly TaskRow[]; lease: LeaseRow; bounds: Bounds }

/** `facts`: what the decision keeps of the ask besides. */
type Objection = { reasons: readonly string[]; facts: object }

/**
 * The denial by which it is to be taken back, not yet recorded; undefined where it may stay.
 *
 * What was given out in the window is not held against what was given out before: the credential itself is among
 * it. Where policy demands approval, the one that it was minted under must have been for as much.
 *
 * @throws Error where nothing could be judged: what is live does not end by an outage
 */
export async function judgeLive(broker: Broker, live: Live): Promise<DecisionRow | undefined> {
  const { task, lease } = live
  const issuer = broker.issuers.get(lease.issuer)
  const objection =
    issuer === undefined
      ? { reasons: [`no issuer is called ${lease.issuer} any more`], facts: {} }
      : (boundsObject(issuer, live) ?? (await policyObjects(broker, issuer, live)))
  if (objection === undefined) return undefined
  const ask: unknown = JSON.parse(lease.granted)
  const { agent, identity, purpose } = judgedTask(task, live.above)
  const { reasons, facts } = objection
  const digest = canonicalDigest(ask)
  return newDecision(broker, {
    ...{ task: task.id, agent, outcome: 'deny', reasons },
    facts: {
      ...{ identity, agent, purpose, lease: lease.id },
      asks: issuer === undefined ? [] : [{ issuer: lease.issuer, ...issuer.facts(ask), digest, ...facts }],
    },
  })
}

function boundsObject(issuer: Issuer, { lease, bounds }: Live): Objection | undefined {
  // One that is being minted is held against its agent when it comes, and is judged anew where that changed.
  if (lease.state === 'intended') return undefined
  const { outcome, reasons, beyond } = judgeAsk(lease.issuer, issuer, JSON.parse(lease.granted), bounds)
  return outcome === 'allow' ? undefined : { reasons, facts: { beyond } }
}

async function policyObjects(
  broker: Broker,
  issuer: Issuer,
  { task, above, lease }: Live,
): Promise<Objection | undefined> {
  if (broker.policy.hash() === 'none') return undefined
  const ask: unknown = JSON.parse(lease.granted)
  const asked = { issuerName: lease.issuer, issuer, ask }
  const about = judgedTask(task, above)
  const declared = await declaredFor(broker, lease)
  const judge = async (one: Judged) => {
    const request = await policyRequest(broker, one, asked, issuer.facts(ask), 'left out')
    const said = await judgeNarrowOnly(broker.policy, request, declared)
    if (said.failed) throw new Error('policy could not be judged')
    return said
  }
  const line = judgedAbove(broker, about)
  const gone = [about, ...line].find(one => !broker.agents().has(one.agent))
  if (gone !== undefined) return { reasons: [`${gone.agent} is no longer registered`], facts: {} }
  let verdict = await judge(about)
  for (const one of line) verdict = stricter(verdict, await judge(one))
  if (verdict.outcome === 'allow') return undefined
  const facts = explained(verdict)
  if (verdict.outcome === 'deny') return { reasons: verdict.reasons, facts }
  if (await isAgreedTo(broker, lease, verdict)) return undefined
  return { reasons: [...verdict.reasons, 'humans have not agreed to as much'], facts }
}

async function isAgreedTo(broker: Broker, lease: LeaseRow, { requires }: PolicyVerdict): Promise<boolean> {
  const approval = await broker.ledger.read.approvalOf(lease.ask_id)
  if (approval === undefined || approval.minted === 0) return false
  if (!isUnaltered(() => verifiedApproval(broker, approval))) return false
  const met = JSON.parse(approval.requires) as ApprovalRequirement[]
  return requires.every(wanted => met.some(one => isAsMuch(one, wanted)))
}

/** What the caller said of itself when it asked for this. */
async function declaredFor({ ledger: { read } }: Broker, lease: LeaseRow): Promise<Declared | undefined> {
  const ask = await read.ask(lease.ask_id)
  const decision = ask === undefined ? undefined : await read.decision(ask.decision)
  return decision === undefined ? undefined : declaredIn(decision).declared
}

/** Whoever met the one has met the other. */
function isAsMuch(met: ApprovalRequirement, wanted: ApprovalRequirement): boolean {
  const outOf =
    wanted.groups.length === 0 ||
    (met.groups.length > 0 && met.groups.every(one => wanted.groups.includes(one)))
  return met.quorum >= wanted.quorum && outOf && (wanted.ownerMay || !met.ownerMay)
}
