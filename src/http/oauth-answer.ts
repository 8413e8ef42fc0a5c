import type { Secret } from '../../issuers/shared/secret.ts'
import { boundKeyOf } from '../broker/bound/held-keys.ts'
import type { Broker } from '../broker/broker.ts'
import type { Credential } from '../broker/credentials/issue-credential.ts'
import type { TaskRow } from '../store/rows.ts'

/** Of what carries this confirmation (RFC 7800): a certificate's is presented as a bearer (RFC 8705 section 3). */
export function tokenTypeOf(cnf: unknown): 'Bearer' | 'DPoP' {
  return typeof cnf === 'object' && cnf !== null && 'jkt' in cnf ? 'DPoP' : 'Bearer'
}

/** Only what Mayfly signs itself carries the key; a provider's token is what the provider makes it. */
function typeOf({ revocability }: Credential, task: TaskRow): 'Bearer' | 'DPoP' {
  return revocability === 'introspected' ? tokenTypeOf(boundKeyOf(task)) : 'Bearer'
}

/** RFC 8693 section 2.2.1, and the task beside it. */
export async function exchangeAnswer(broker: Broker, credential: Credential, task: TaskRow, token: Secret) {
  const now = await broker.ledger.now()
  return {
    access_token: credential.secret.reveal(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: credential.format === 'token' ? typeOf(credential, task) : 'N_A',
    expires_in: Math.max(0, Math.floor((credential.expiresAt - now) / 1_000)),
    authorization_details: [{ type: credential.issuer, ...(credential.granted as object) }],
    provider_expires_at: new Date(credential.providerExpiresAt).toISOString(),
    revocability: credential.revocability,
    lease: credential.lease,
    task_id: task.id,
    task_token: token.reveal(),
    deadline: new Date(task.deadline).toISOString(),
  }
}
