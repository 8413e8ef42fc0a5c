/** An ID token of a human, verified and used up: each counts once, and so does each time that they signed in. */
import { createHash } from 'node:crypto'
import { AttestationUnavailable } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { demandNewer } from '../tasks/restored.ts'
import type { Operator } from './operator.ts'
import type { HumanToken } from './operator-identity.ts'
import type { SignIn } from './people.ts'

/** The configured name under which refusals of human sign-ins stand in the audit log. */
const SOURCE = 'operators'

/**
 * @throws BrokerError `evidence_rejected` (the reason goes to the ledger), `attestation_unavailable`
 */
export async function verifyHuman(broker: Broker, signIn: SignIn, idToken: Secret): Promise<HumanToken> {
  const checked = await signIn.verify(idToken.reveal()).catch((cause: unknown) => {
    broker.log.warn({ issuer: signIn.issuer, err: cause }, 'a sign-in could not be checked')
    const again =
      cause instanceof AttestationUnavailable ? { retryAfterMs: broker.limits.attestationRetryAfterMs } : {}
    throw new BrokerError(
      'attestation_unavailable',
      'the sign-in could not be checked just now: the identity provider does not answer; try again',
      { cause, ...again },
    )
  })
  if (!checked.ok) throw await refuseSignIn(broker, checked.rejection, checked.detail)
  const { issuer, subject, replay } = checked.value
  await demandNewer(broker, { attestor: SOURCE, issuer, subject, replay, claims: {} })
  return checked.value
}

/** One message for every sign-in that does not verify; the reason in full goes to the audit log. */
export async function refuseSignIn(broker: Broker, rejection: string, detail: string): Promise<BrokerError> {
  await broker.ledger.write(tx =>
    record(tx, 'operator.sign_in_refused', { actor: 'broker' }, { rejection, detail }),
  )
  broker.metrics.evidenceRejected(rejection)
  return new BrokerError(
    'evidence_rejected',
    'the sign-in was not accepted; the audit log of the broker says why',
  )
}

/** @returns false where the token was used before, in this ledger and so by any broker. */
export async function useToken(tx: LedgerWrite, human: HumanToken, usedFor: string): Promise<boolean> {
  const { id, until } = human.replay
  return (await tx.useEvidence(use(tx, `operator/${id}`, usedFor, until))) === undefined
}

/**
 * One proof of who they are, one thing agreed to. An authorization request without a prompt would otherwise get
 * a second token out of the sign-in that was for the first.
 */
export async function useAuthentication(
  broker: Broker,
  tx: LedgerWrite,
  { issuer, subject, authenticatedAt = 0 }: HumanToken,
  usedFor: string,
): Promise<boolean> {
  const named = JSON.stringify([issuer, subject, authenticatedAt])
  const id = `operator-at/${createHash('sha256').update(named).digest('base64url')}`
  const until = authenticatedAt + broker.limits.freshSignInMs + 2 * broker.limits.clockSkewMs
  return (await tx.useEvidence(use(tx, id, usedFor, until))) === undefined
}

/** `task` is nobody's: no retry may take the place of it. */
const use = (tx: LedgerWrite, id: string, usedFor: string, until: number) => ({
  ...{ id, task: 'operator', request_digest: usedFor, bound_key: null, used_at: tx.now, until },
})

export function operatorOf({ issuer, subject, name, email, groups }: HumanToken): Operator {
  const address = email === undefined ? {} : { email }
  return { id: `${issuer}#${subject}`, name, ...address, groups, kind: 'human' }
}
