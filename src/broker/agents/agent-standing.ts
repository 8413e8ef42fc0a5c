/**
 * Changes how an agent stands. The change is committed first, under the lock that every mint and opening of the
 * agent shares: what was under way is over by then, and from then on all brokers refuse. In the same transaction
 * stands the run that ends what is live, a revocation that any broker goes on with.
 */
import { type AuditEvent, record } from '../../audit/record.ts'
import type { RevocationFilter } from '../../policy/revocation-filter.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { KnownAgentRow, Standing, StandingCause } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { continueRevocation, insertRun, revocationPrefix } from '../revocations/revocations.ts'
import { demandCertified } from './agent-build.ts'
import { offboardingClaim } from './agent-offboarding.ts'
import { isDone, isWidening, type StandingVerb, transitionOf } from './agent-transitions.ts'

export type StandingOrder = {
  agent: string
  verb: StandingVerb
  reason: string
  cause: StandingCause
  /** Whether the agent may be able to do more afterwards: who may not widen does not do so by a race either. */
  mayWiden: boolean
}

/**
 * What is already so stays as it is and is no error: an answer may have been lost.
 *
 * @throws BrokerError `not_found`, `transition_refused`
 */
export async function changeStanding(
  broker: Broker,
  order: StandingOrder,
  actor: string,
): Promise<KnownAgentRow> {
  const run = await broker.ledger.write(tx => changeWithin(broker, tx, order, actor))
  if (run !== undefined) await carryOut(broker, run)
  return readAgent(broker, order.agent)
}

/** The same in a transaction that does more. @returns the run that is to be carried out, where there is one. */
export async function changeWithin(
  broker: Pick<Broker, 'newId' | 'keyring' | 'log'>,
  tx: LedgerWrite,
  { agent, verb, reason, cause, mayWiden }: StandingOrder,
  actor: string,
): Promise<string | undefined> {
  const row = await tx.lockAgent(agent, 'update')
  if (row === undefined) throw new BrokerError('not_found', 'no such agent')
  const from = row.standing
  if (isDone(from, verb)) return undefined
  const to = transitionOf(from, verb)
  if (isWidening(from, to)) {
    if (!mayWiden)
      throw new BrokerError('transition_refused', `${agent} is ${from} by now, and this would let it do more`)
    if (to === 'active') demandCertified(broker, row, tx.now)
  }
  const filter = ENDS[to](agent)
  const run = filter === undefined || isWidening(from, to) ? undefined : broker.newId('rev')
  await tx.moveAgent(agent, from, {
    ...{ standing: to, standing_cause: cause, standing_reason: reason, standing_by: actor },
    standing_run: run ?? null,
  })
  await record(tx, EVENTS[to], { actor, agent }, { from, cause, reason, ...(run && { revocation: run }) })
  if (run !== undefined && filter !== undefined)
    await insertRun(tx, { id: run, filter, actor, reason, hold: false, blocking: false })
  if (to === 'offboarding') await offboardingClaim(tx, agent)
  return run
}

/** What of the agent ends with the change. */
const ENDS: Readonly<Record<Standing, (agent: string) => RevocationFilter | undefined>> = {
  active: () => undefined,
  quarantined: agent => ({ agent, above_read: true }),
  suspended: agent => ({ agent }),
  offboarding: agent => ({ agent }),
  offboarded: () => undefined,
}

const EVENTS: Readonly<Record<Standing, AuditEvent>> = {
  active: 'agent.activated',
  quarantined: 'agent.quarantined',
  suspended: 'agent.suspended',
  offboarding: 'agent.offboarding',
  offboarded: 'agent.offboarded',
}

/** It is in the ledger: what fails now is done by the reaper, here or elsewhere. */
export async function carryOut(broker: Broker, run: string): Promise<void> {
  await continueRevocation(broker, revocationPrefix + run).catch(error =>
    broker.log.warn(
      { revocation: run, err: error },
      'ending what an agent holds stopped short; it will go on',
    ),
  )
  broker.wake()
}

/** @throws BrokerError `not_found` */
export async function readAgent(broker: Broker, name: string): Promise<KnownAgentRow> {
  const row = await broker.ledger.read.agent(name)
  if (row === undefined) throw new BrokerError('not_found', 'no such agent')
  return row
}
