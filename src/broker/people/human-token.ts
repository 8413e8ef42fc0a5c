/**
 * The ID token of the human on whose behalf a task is opened (the subject token of RFC 8693), verified by the core
 * that verifies everybody's. It is good once, for minutes, and for nothing else: its audience is of no attestor and
 * of no operator.
 */
import { AttestationUnavailable, type JwtEvidence } from '../../../attestors/attestor.ts'
import { peekClaim } from '../../../attestors/shared/compact-jws.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { rejectEvidence } from '../tasks/attest.ts'
import type { Claim } from '../tasks/claim-evidence.ts'
import { demandNewer } from '../tasks/restored.ts'
import type { Human } from './human.ts'

/** The name under which rejections of such tokens stand in the audit log. */
const SOURCE = 'humans'

export type PresentedHuman = { human: Human; until: number }

/**
 * @throws BrokerError `evidence_rejected` (one message for every cause; the reason goes to the ledger) or
 * `attestation_unavailable`
 */
export async function verifyOnBehalfOf(broker: Broker, { token }: JwtEvidence): Promise<PresentedHuman> {
  // Unverified: it only chooses among those that are trusted.
  const named = peekClaim(token, 'iss')
  const trusted = typeof named === 'string' ? broker.humans?.get(named) : undefined
  if (trusted === undefined)
    throw await rejectEvidence(broker, SOURCE, 'issuer_not_trusted', 'nobody vouches for humans by that name')
  const checked = await trusted.verify(token).catch((cause: unknown) => {
    broker.log.warn({ issuer: named, err: cause }, 'the ID token of a human could not be checked')
    const again =
      cause instanceof AttestationUnavailable ? { retryAfterMs: broker.limits.attestationRetryAfterMs } : {}
    throw new BrokerError(
      'attestation_unavailable',
      'the evidence could not be checked just now; try again',
      { cause, ...again },
    )
  })
  if (!checked.ok) throw await rejectEvidence(broker, SOURCE, checked.rejection, checked.detail)
  const { issuer, subject, name, email, groups, accounts = [], replay } = checked.value
  await demandNewer(broker, { attestor: SOURCE, issuer, subject, claims: {}, replay })
  const human: Human = {
    ...{ issuer, subject, name, groups, accounts, use: `human/${replay.id}` },
    ...(email === undefined ? {} : { email }),
  }
  return { human, until: replay.until }
}

/** What the opening uses up by it: one token, one task, on whichever broker. */
export function humanClaim(
  { limits }: Pick<Broker, 'limits'>,
  presented: PresentedHuman | undefined,
  requestDigest: string,
): Claim | undefined {
  if (presented === undefined) return undefined
  const { human, until } = presented
  return { what: 'human', id: human.use, requestDigest, until: until + limits.reissueWindowMs }
}
