/** The second human's word on a change, and the first one's second thoughts. */
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ChangeRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type ChangeKind, digestOf, openHeld } from './dual-control.ts'
import { actorOf, type Operator } from './operator.ts'
import type { ChangeExecutor } from './people.ts'
import { verifiedChange } from './verified-people.ts'

export type ChangeAnswer =
  /** `operator` signed in for {@link ChangeRow.digest} of this change. */
  { state: 'applied' } | { state: 'denied' | 'withdrawn'; reason: string }

/**
 * Decides a pending change, once; an agreement applies it in the same transaction.
 *
 * @throws BrokerError `not_found`, `forbidden` (the proposer agrees), `approval_over`
 */
export async function decideChange(
  broker: Broker,
  id: string,
  operator: Operator,
  answer: ChangeAnswer,
): Promise<ChangeRow> {
  const by = actorOf(operator)
  async function decide(tx: LedgerWrite): Promise<void> {
    const row = await tx.lockChange(id)
    if (row === undefined) throw noSuchChange()
    verifiedChange(broker, row)
    demandOpen(row, tx.now)
    demandSecond(row, operator, answer)
    const detail = 'reason' in answer ? answer.reason : null
    if (!(await tx.decideChange(id, { state: answer.state, by, detail }))) throw over()
    const { kind, digest } = row
    await record(tx, `change.${answer.state}`, { actor: by }, { change: id, kind, digest })
  }

  if (answer.state === 'applied') {
    const row = await readChange(broker, id)
    demandOpen(row, await broker.ledger.now())
    demandSecond(row, operator, answer)
    const { document, reason } = row
    const secret = openHeld(broker, row)
    await executorOf(broker, row).apply(JSON.parse(document), { operator, reason, secret }, decide)
  } else await broker.ledger.write(decide)
  const decided = await readChange(broker, id)
  if (decided.state === 'pending')
    throw new BrokerError('approval_over', 'there is nothing left to change; withdraw it, or let it expire')
  return decided
}

/** What a human is shown before they sign in for it. @throws BrokerError `not_found` */
export async function readChange(broker: Broker, id: string): Promise<ChangeRow> {
  const row = await broker.ledger.read.change(id)
  if (row === undefined) throw noSuchChange()
  return verifiedChange(broker, row)
}

export const isPast = (row: ChangeRow, now: number) => row.state === 'pending' && row.expires_at <= now

function demandOpen(row: ChangeRow, now: number): void {
  if (row.state !== 'pending' || isPast(row, now)) throw over()
  if (digestOf(row) !== row.digest) throw over()
}

function demandSecond({ proposer }: ChangeRow, operator: Operator, answer: ChangeAnswer): void {
  if (answer.state === 'withdrawn') {
    if (operator.id !== proposer)
      throw new BrokerError('forbidden', 'only who proposed a change withdraws it; others deny it')
    return
  }
  if (answer.state !== 'applied') return
  if (operator.kind !== 'human' || operator.id === proposer)
    throw new BrokerError('forbidden', 'another human than the one who proposed it must agree')
}

function executorOf({ people }: Broker, { kind }: ChangeRow): ChangeExecutor {
  const executor = people.executors?.[kind as ChangeKind]
  if (executor !== undefined) return executor
  throw new BrokerError('request_invalid', `nothing of the kind ${kind} is changed through the API`)
}

export const noSuchChange = () => new BrokerError('not_found', 'no such change')
const over = () => new BrokerError('approval_over', 'it was decided before, or its time is over')
