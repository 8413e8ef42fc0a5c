/**
 * What takes two humans: a change is written down by one, and is in force once another has freshly signed in for
 * exactly that document. Files on disk are not changed here: who may write those is the operator's own matter.
 */
import { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { canonicalJson } from '../../canonical.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ChangeRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { changeDigest } from './change-digest.ts'
import { actorOf, type Operator } from './operator.ts'
import type { DualControl } from './people.ts'
import { changeMac } from './verified-people.ts'

export type ChangeKind = keyof DualControl

/**
 * A change as it is proposed: JSON, whole, so that whoever agrees sees all of it. `secret` is what is shown to nobody;
 * the document says by fingerprints what it is.
 */
export type ProposedChange = { document: unknown; reason: string; secret?: Secret }

/**
 * Asked by whoever is about to change something of this kind, in the transaction that would change it.
 *
 * @returns `apply`: go on. `pending`: it is written down, and its executor applies it when a second human
 * agrees (decide-change.ts); change nothing now.
 * @throws BrokerError `forbidden` where it takes two humans and the first is none
 */
export async function demandDualControl(
  broker: Broker,
  tx: LedgerWrite,
  operator: Operator,
  kind: ChangeKind,
  { document, reason, secret }: ProposedChange,
): Promise<'apply' | { pending: string }> {
  if (!broker.people.dualControl[kind]) return 'apply'
  if (operator.kind !== 'human')
    throw new BrokerError(
      'forbidden',
      'this takes two humans: an operator token, which one of them may hold, proposes nothing here',
    )
  const text = canonicalJson(document)
  if (text.length > broker.limits.changeChars)
    throw new BrokerError(
      'request_invalid',
      `a change may have at most ${broker.limits.changeChars} characters`,
    )
  const plain = {
    ...{ id: broker.newId('chg'), kind, document: text, reason, proposer: operator.id },
    ...{ proposed_by: actorOf(operator), created_at: tx.now, expires_at: tx.now + broker.limits.changeMs },
  }
  const row = {
    ...{ ...plain, digest: digestOf(plain), state: 'pending' as const },
    ...{ decided_at: null, decided_by: null, detail: null },
    sealed: secret === undefined ? null : broker.keyring.seal(secret.reveal(), heldBy(plain.id)),
  }
  await tx.insertChange({ ...row, mac: changeMac(broker, row) })
  const { id, digest } = row
  await record(tx, 'change.proposed', { actor: actorOf(operator) }, { change: id, kind, digest })
  return { pending: id }
}

/** What the change holds sealed; undefined where it holds nothing. @throws KeyringError where it is another change's */
export function openHeld({ keyring }: Broker, { id, sealed }: ChangeRow): Secret | undefined {
  if (sealed === null) return undefined
  return new Secret(Buffer.from(keyring.open(sealed, heldBy(id))).toString('utf8'))
}

const heldBy = (id: string) => ({ row: id, column: 'changes.sealed' })

/** @returns hex digest; see {@link changeDigest}. */
export function digestOf({ id, kind, document, reason, proposed_by, expires_at }: Proposed): string {
  const change = JSON.parse(document) as unknown
  return changeDigest({
    id,
    kind,
    change,
    reason,
    proposed_by,
    expires_at: new Date(expires_at).toISOString(),
  })
}

type Proposed = Pick<ChangeRow, 'id' | 'kind' | 'document' | 'reason' | 'proposed_by' | 'expires_at'>
