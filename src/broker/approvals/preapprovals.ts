/**
 * Consent given beforehand: this agent as it is now, what this ask covers, this long, this many times. It counts
 * as the vote of the human who gives it, and is of no use where the agent or its issuer has changed since.
 */
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import { MINUTE_MS } from '../../limits.ts'
import { owns } from '../../policy/approvers.ts'
import { judgeAsk } from '../../policy/judge-ask.ts'
import type { PreapprovalRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { resolveAsks, type WantedAsk } from '../credentials/resolve-asks.ts'
import { actorOf, type Operator } from '../people/operators.ts'
import { boundsOf } from '../tasks/bounds.ts'
import { settingsOf } from './approval-document.ts'
import { ownersOf } from './approval-votes.ts'
import { preapprovalMac } from './verified-approvals.ts'

export type PreapprovalOrder = {
  agent: string
  wanted: WantedAsk
  minutes: number
  uses: number
  reason: string
}

/** What is agreed to, with ids in place of names. */
export type PreapprovalDocument = {
  version: 1
  /** `digest`: its generation. */
  agent: { name: string; digest: string }
  /** `digest`: of its configured settings. */
  issuer: { name: string; digest: string }
  authorization_details: object
  minutes: number
  uses: number
  reason: string
}

export type PlannedPreapproval = { document: PreapprovalDocument; digest: string; ask: object }

/**
 * What such a window would be; nothing is changed.
 *
 * @throws BrokerError `not_found`, `ask_invalid`, `ask_denied` where the agent could not have it anyway
 */
export async function planPreapproval(broker: Broker, order: PreapprovalOrder): Promise<PlannedPreapproval> {
  const agent = broker.agents().get(order.agent)
  if (agent === undefined) throw new BrokerError('not_found', 'no such agent')
  const bounds = await boundsOf(broker, [{ agent: agent.name, ticket: null }])
  const [resolved] = await resolveAsks(broker, [order.wanted], { bounds, agent: agent.name })
  const { issuerName, issuer, ask } = resolved!
  const { outcome, reasons } = judgeAsk(issuerName, issuer, ask, bounds)
  if (outcome === 'deny') throw new BrokerError('ask_denied', reasons.join('; '))
  const wanted = ask as object
  const document: PreapprovalDocument = {
    version: 1,
    agent: { name: agent.name, digest: agent.digest },
    issuer: { name: issuerName, digest: settingsOf(broker, issuerName) },
    authorization_details: { type: issuerName, ...wanted },
    ...{ minutes: order.minutes, uses: order.uses, reason: order.reason },
  }
  return { document, digest: canonicalDigest(document), ask: wanted }
}

/** What a fresh sign-in is bound to, hex. */
export function preapprovalBinding(digest: string): string {
  return canonicalDigest({ verb: 'preapprove', document: digest })
}

/**
 * Opens it, for a human who signed in a moment ago for exactly this.
 *
 * @throws BrokerError `forbidden` for who owns the agent, `budget_exhausted` where too many stand open
 */
export async function openPreapproval(
  broker: Broker,
  human: Operator,
  { document, digest, ask }: PlannedPreapproval,
): Promise<PreapprovalRow> {
  if (human.kind !== 'human')
    throw new BrokerError('forbidden', 'an operator token approves nothing: a human signs in to do it')
  const { agent, issuer, minutes, uses, reason } = document
  if (owns(human, ownersOf(broker, [{ agent: agent.name }])))
    throw new BrokerError('forbidden', 'you own the agent: somebody else must agree')
  const filter = { agent: agent.name, open: await broker.ledger.now() }
  const { preapprovals: most } = broker.limits
  if ((await broker.ledger.read.preapprovals(filter, { limit: most })).items.length >= most)
    throw new BrokerError('budget_exhausted', `${most} windows of this agent are open; revoke one`)
  const id = broker.newId('pre')
  await broker.ledger.write(async tx => {
    const unsigned = {
      ...{
        id,
        agent: agent.name,
        agent_digest: agent.digest,
        issuer: issuer.name,
        issuer_digest: issuer.digest,
      },
      ...{ ask: JSON.stringify(ask), digest, human: human.id, name: human.name, email: human.email ?? null },
      ...{ groups: JSON.stringify(human.groups), reason, uses, created_at: tx.now },
      expires_at: tx.now + minutes * MINUTE_MS,
    }
    const row = { ...unsigned, mac: preapprovalMac(broker, unsigned) }
    await tx.insertPreapproval({ ...row, used: 0, revoked_at: null, revoked_by: null })
    const data = { preapproval: id, digest, uses, reason }
    await record(tx, 'preapproval.opened', { actor: actorOf(human), agent: agent.name }, data)
  })
  return (await broker.ledger.read.preapproval(id))!
}

/** Takes it back: of no use from here on. @throws BrokerError `not_found` */
export async function revokePreapproval(broker: Broker, actor: string, id: string): Promise<PreapprovalRow> {
  const row = await broker.ledger.read.preapproval(id)
  if (row === undefined) throw new BrokerError('not_found', 'no such window')
  await broker.ledger.write(async tx => {
    if (await tx.revokePreapproval(id, actor))
      await record(tx, 'preapproval.revoked', { actor, agent: row.agent }, { preapproval: id })
  })
  return (await broker.ledger.read.preapproval(id))!
}
