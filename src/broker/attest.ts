import { AttestationUnavailable, type Evidence } from '../../attestors/attestor.ts'
import { record } from '../audit/record.ts'
import type { Broker, Identity } from './broker.ts'
import { BrokerError } from './broker-error.ts'

/**
 * Evidence to identity. Which attestor is asked follows from unverified content, so that only routes to a
 * configured trust root; the attestor checks everything again.
 *
 * @throws BrokerError `evidence_rejected` (one message for every cause; the reason goes to the ledger) or
 * `attestation_unavailable`.
 */
export async function attest(broker: Broker, evidence: Evidence): Promise<Identity> {
  const recognising = [...broker.attestors].filter(([, attestor]) => attestor.recognises(evidence))
  const candidates =
    recognising.length === 1
      ? recognising
      : recognising.filter(([, attestor]) => attestor.isFor?.(evidence) ?? true)
  if (candidates.length !== 1) {
    const names = recognising.map(([name]) => name).join(', ')
    if (recognising.length === 0)
      throw await rejectEvidence(broker, 'none', 'issuer_not_trusted', 'no attestor recognises it')
    throw await rejectEvidence(
      broker,
      'none',
      'audience_wrong',
      `recognised by ${names}, and meant for ${candidates.length} of them`,
    )
  }
  const [name, attestor] = candidates[0]!
  let verdict: Awaited<ReturnType<typeof attestor.attest>>
  try {
    verdict = await attestor.attest(evidence)
  } catch (cause) {
    broker.log.warn({ attestor: name, err: cause }, 'evidence could not be checked')
    throw new BrokerError(
      'attestation_unavailable',
      'the evidence could not be checked just now; try again',
      {
        cause,
        ...(cause instanceof AttestationUnavailable
          ? { retryAfterMs: broker.limits.attestationRetryAfterMs }
          : {}),
      },
    )
  }
  if (!verdict.ok) throw await rejectEvidence(broker, name, verdict.rejection, verdict.detail)
  return { ...verdict.proof, attestor: name }
}

/** One message for every rejected piece of evidence, so that the answer is no oracle. */
export function evidenceRejected(): BrokerError {
  return new BrokerError('evidence_rejected', 'the evidence was not accepted')
}

/** Writes down why, and returns what the caller is told, which does not say why. */
export async function rejectEvidence(
  broker: Broker,
  attestor: string,
  rejection: string,
  detail: string,
): Promise<BrokerError> {
  await broker.ledger.write(tx =>
    record(tx, 'evidence.rejected', { actor: 'broker' }, { attestor, rejection, detail }),
  )
  broker.metrics.evidenceRejected(rejection)
  return evidenceRejected()
}
