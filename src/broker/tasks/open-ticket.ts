import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import { type Allowance, judgeAsk } from '../../policy/judge-ask.ts'
import type { TaskRow, TicketRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { demandDepth, takeTicket } from '../budgets/delegation-budget.ts'
import { resolveAsks, type WantedAsk } from '../credentials/resolve-asks.ts'
import { judgedTask } from '../decisions/judged.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { newDecision, recordDenial } from '../decisions/record-decision.ts'
import { lockMintable } from '../lock-mintable.ts'
import { ticketMac } from '../verified-rows.ts'
import { boundsOf } from './bounds.ts'

export type OpenedTicket = { id: string; token: Secret; expiresAt: number }

/**
 * A one-use ticket for a sub-agent: which agent, which asks at most, how many minutes. It carries no more
 * than the parent itself may hold; the child redeems it with its own evidence.
 */
export async function openTicket(
  broker: Broker,
  parent: TaskRow,
  request: { agent: string; asks: readonly WantedAsk[]; minutes: number },
): Promise<OpenedTicket> {
  // 1. Whom the parent's agent may delegate to, while the task lives.
  if (parent.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
  const agent = broker.agents().get(parent.agent)
  if (agent === undefined || !agent.may_delegate_to.includes(request.agent))
    throw await denied(broker, parent, request.agent, [
      `${parent.agent} may not delegate to ${JSON.stringify(request.agent)}`,
    ])
  const ancestors = await broker.ledger.read.ancestors(parent.id)
  demandDepth(broker, [...ancestors, parent])

  // 2. No more than the parent may hold.
  const bounds = await boundsOf(broker, [...ancestors, parent])
  const asks = await resolveAsks(broker, request.asks, { bounds, agent: parent.agent })
  const judged = asks.map(({ issuerName, issuer, ask }) => ({
    ...{ issuerName, ask },
    ...judgeAsk(issuerName, issuer, ask, bounds),
  }))
  const told = judged.map(({ issuerName: issuer, ask, facts, outcome, beyond }) => ({
    ...{ issuer, ...facts, digest: canonicalDigest(ask), outcome },
    ...(outcome === 'deny' ? { beyond } : {}),
  }))
  const missed = judged.flatMap(({ outcome, reasons }) => (outcome === 'deny' ? reasons : []))
  if (missed.length > 0) throw await denied(broker, parent, request.agent, missed, told)

  // 3. Record.
  const token = broker.newToken('ticket')
  const now = broker.now()
  const allowances: Allowance[] = asks.map(ask => ({ issuer: ask.issuerName, ask: ask.ask }))
  const unsigned: Omit<TicketRow, 'mac'> = {
    id: broker.newId('tkt'),
    parent_task: parent.id,
    agent: request.agent,
    asks: JSON.stringify(allowances),
    minutes: request.minutes,
    token_hash: broker.keyring.tokenHash(token.reveal()),
    state: 'open',
    redeemed_by: null,
    created_at: now,
    expires_at: Math.min(now + broker.limits.ticketMs, parent.deadline),
  }
  const row: TicketRow = { ...unsigned, mac: ticketMac(broker, unsigned) }
  const facts = JSON.stringify(ticketFacts(parent, request.agent, told))
  await keepRefusal(broker, { task: parent.id, agent: parent.agent, facts }, () =>
    broker.ledger.write(async tx => {
      await lockMintable(broker, tx, parent.id)
      await takeTicket(broker, tx, parent)
      await tx.insertTicket(row)
      const subject = { actor: `task:${parent.id}`, task: parent.id, agent: parent.agent }
      await record(tx, 'ticket.opened', subject, { ticket: row.id, for: row.agent })
    }),
  )
  return { id: row.id, token, expiresAt: row.expires_at }
}

function ticketFacts(parent: TaskRow, ticketFor: string, asks: readonly object[]) {
  const { identity, purpose } = judgedTask(parent, [])
  return { identity, agent: parent.agent, purpose, ticket_for: ticketFor, asks }
}

/** Why is for whoever answers for the agent; the task learns which decision to quote. */
async function denied(
  broker: Broker,
  parent: TaskRow,
  ticketFor: string,
  reasons: readonly string[],
  asks: readonly object[] = [],
): Promise<BrokerError> {
  const decision = newDecision(broker, {
    ...{ task: parent.id, agent: parent.agent, outcome: 'deny', reasons },
    facts: ticketFacts(parent, ticketFor, asks),
  })
  await broker.ledger.write(tx => recordDenial(tx, decision))
  return new BrokerError('ask_denied', 'the task may not give this ticket', { decision: decision.id })
}
