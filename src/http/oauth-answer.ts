import type { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import type { Credential } from '../broker/credentials/issue-credential.ts'
import type { TaskRow } from '../store/rows.ts'

/** RFC 8693 section 2.2.1, and the task beside it. */
export async function exchangeAnswer(broker: Broker, credential: Credential, task: TaskRow, token: Secret) {
  const now = await broker.ledger.now()
  return {
    access_token: credential.secret.reveal(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: credential.format === 'token' ? 'Bearer' : 'N_A',
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
