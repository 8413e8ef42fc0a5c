import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import type { Broker } from '../broker.ts'
import { operatorMac } from '../verified-rows.ts'

/** A new operator token, in place of any earlier one. The ledger keeps its hash. */
export async function createOperatorToken(
  broker: Broker,
  name: string,
): Promise<{ token: Secret; expiresAt: number }> {
  const token = broker.newToken('operator')
  const expiresAt = await broker.ledger.write(async tx => {
    const unsigned = {
      id: broker.newId('opr'),
      name,
      token_hash: broker.keyring.tokenHash(token.reveal()),
      created_at: tx.now,
      expires_at: tx.now + broker.limits.operatorTokenMs,
    }
    await tx.replaceOperatorToken({ ...unsigned, mac: operatorMac(broker, unsigned) })
    await record(tx, 'operator.token_created', { actor: `operator:${name}` }, { id: unsigned.id })
    return unsigned.expires_at
  })
  return { token, expiresAt }
}
