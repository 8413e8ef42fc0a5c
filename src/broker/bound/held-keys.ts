/** Which keys the sender of a request showed that it holds, and whether a token's key is among them. */
import { createHash } from 'node:crypto'
import type { BoundKey } from '../../../attestors/attestor.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { dpopNonce, isDpopNonce } from './dpop-nonce.ts'
import { PROOF_REMEMBERED_MS, type ProvenRequest, readDpopProof } from './dpop-proof.ts'

/** Both may be there: a proof in the header, and a certificate of the connection. */
export type HeldKeys = { jkt?: string; 'x5t#S256'?: string }

/** @param leaf DER: what the client authenticated the connection with (RFC 8705 section 3.1) */
export function certificateKey(leaf: Uint8Array | undefined): HeldKeys {
  if (leaf === undefined) return {}
  return { 'x5t#S256': createHash('sha256').update(leaf).digest('base64url') }
}

/** A key that a proof shows, and the name of that proof. */
export type ShownProof = { jkt: string; use: string }

/**
 * A proof that is sound, for this request and of now; whether it was seen before is for {@link useProof}.
 *
 * @param proof the value of the DPoP header
 * @throws BrokerError `dpop_proof_invalid`, `dpop_nonce_needed`
 */
export async function readProof(
  broker: Broker,
  proof: string | undefined,
  request: ProvenRequest,
): Promise<ShownProof | undefined> {
  if (proof === undefined) return undefined
  const now = broker.now()
  const read = await readDpopProof(proof, request, now)
  if (!read.ok) {
    broker.log.info({ rejection: read.rejection, detail: read.detail }, 'a DPoP proof was not accepted')
    throw new BrokerError('dpop_proof_invalid', `the DPoP proof was not accepted: ${read.detail}`)
  }
  const { jkt, use, nonce } = read.value
  if (nonce === undefined || !isDpopNonce(broker, nonce, now))
    throw new BrokerError('dpop_nonce_needed', 'make the DPoP proof again with the nonce of DPoP-Nonce')
  return { jkt, use }
}

/** @throws BrokerError `dpop_proof_invalid` for one that was seen before, by any broker. */
export async function useProof(broker: Broker, { jkt, use }: ShownProof): Promise<void> {
  const earlier = await broker.ledger.write(tx =>
    tx.useEvidence({
      ...{ id: `dpop/${use}`, task: '', request_digest: '', bound_key: null },
      ...{ used_at: tx.now, until: tx.now + PROOF_REMEMBERED_MS },
    }),
  )
  if (earlier === undefined) return
  broker.log.warn({ alarm: 'dpop_proof_replayed', jkt }, 'a DPoP proof was presented again')
  throw new BrokerError('dpop_proof_invalid', 'the DPoP proof was used before: make one for each request')
}

/** For a client that is to make its next proof. */
export function nextNonce(broker: Broker): string {
  return dpopNonce(broker, broker.now())
}

/** The one that what is bound to a key is bound to. */
export function keyOf({ jkt, 'x5t#S256': certificate }: HeldKeys): BoundKey | undefined {
  if (jkt !== undefined) return { jkt }
  return certificate === undefined ? undefined : { 'x5t#S256': certificate }
}

/** What is bound to no key, anybody may present. */
export function isHeld(bound: BoundKey | undefined, held: HeldKeys): boolean {
  if (bound === undefined) return true
  return 'jkt' in bound ? bound.jkt === held.jkt : bound['x5t#S256'] === held['x5t#S256']
}

export function boundKeyOf({ bound_key }: Pick<TaskRow, 'bound_key'>): BoundKey | undefined {
  return bound_key === null ? undefined : (JSON.parse(bound_key) as BoundKey)
}

/** @throws BrokerError `key_not_proven`: a task token without its key is of no use. */
export function demandKey(task: Pick<TaskRow, 'bound_key'>, held: HeldKeys): void {
  const bound = boundKeyOf(task)
  if (isHeld(bound, held)) return
  const how = bound !== undefined && 'jkt' in bound ? 'a DPoP proof by' : 'the client certificate of'
  throw new BrokerError('key_not_proven', `the task token is bound to a key: send ${how} that key with it`)
}

/**
 * What a task that is opened is bound to. A certificate binds only where the agent has to bind: most are renewed
 * while a task runs.
 *
 * @throws BrokerError `key_needed`
 */
export function keyToBind(required: boolean, held: HeldKeys): BoundKey | undefined {
  const key = keyOf(held)
  if (!required) return key !== undefined && 'jkt' in key ? key : undefined
  if (key !== undefined) return key
  throw new BrokerError(
    'key_needed',
    'tasks of this agent are bound to a key: open with a DPoP proof, or with a client certificate',
  )
}
