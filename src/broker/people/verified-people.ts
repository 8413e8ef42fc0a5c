/** The MACs of rows that give humans authority (see verified-rows.ts): sessions, and changes that wait. */
import type { MacFields } from '../../keys/keyring.ts'
import type { ChangeRow, OperatorSessionRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { verified } from '../verified-rows.ts'

type Keyed = Pick<Broker, 'keyring' | 'log'>

function sessionFields(row: Omit<OperatorSessionRow, 'mac'>): MacFields {
  const { id, issuer, subject, name, groups, token_hash, created_at, expires_at } = row
  return { id, issuer, subject, name, groups, token_hash, created_at, expires_at }
}

function changeFields(row: Omit<ChangeRow, 'mac'>): MacFields {
  const { id, kind, document, digest, reason, proposer, proposed_by, created_at, expires_at } = row
  return { id, kind, document, digest, reason, proposer, proposed_by, created_at, expires_at }
}

export const sessionMac = ({ keyring }: Pick<Keyed, 'keyring'>, row: Omit<OperatorSessionRow, 'mac'>) =>
  keyring.mac('operator_session', sessionFields(row))
export const changeMac = ({ keyring }: Pick<Keyed, 'keyring'>, row: Omit<ChangeRow, 'mac'>) =>
  keyring.mac('change', changeFields(row))

/** @throws AlteredRow where it was not written by a broker */
export function verifiedSession(keyed: Keyed, row: OperatorSessionRow): OperatorSessionRow {
  return verified(keyed, 'operator_session', row, sessionFields(row))
}

/** @throws AlteredRow where it was not written by a broker */
export function verifiedChange(keyed: Keyed, row: ChangeRow): ChangeRow {
  return verified(keyed, 'change', row, changeFields(row))
}
