import {
  AttestationUnavailable,
  type Attestor,
  type Evidence,
  type Rejection,
} from '../../../attestors/attestor.ts'
import { record } from '../../audit/record.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

/**
 * Evidence to identity. Which attestor is asked follows from unverified content, so that only routes to a
 * configured trust root; the attestor checks everything again.
 *
 * @throws BrokerError `evidence_rejected` (one message for every cause; the reason goes to the ledger) or
 * `attestation_unavailable`.
 */
export async function attest(broker: Broker, evidence: Evidence): Promise<Identity> {
  const examined = await examine(broker, evidence)
  if (examined.ok) return examined.identity
  throw await rejectEvidence(broker, examined.attestor, examined.rejection, examined.detail)
}

export type Examined = { ok: true; identity: Identity } | Unexamined

/** The same without a trace of it: why it is rejected is for operators. @throws BrokerError `attestation_unavailable` */
export async function examine(
  broker: Broker,
  evidence: Evidence,
  of: 'identity' | 'posture' = 'identity',
): Promise<Examined> {
  const routed = route(broker.attestors, evidence, of)
  if (!routed.ok) return routed
  const { name, attestor } = routed
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
  if (!verdict.ok) return rejected(name, verdict.rejection, verdict.detail)
  const { proof } = verdict
  const claims = of === 'identity' ? ownClaims(broker.attestors, proof.claims) : proof.claims
  return { ok: true, identity: { ...proof, claims, attestor: name } }
}

/** Whether a claim has the name of one that a statement about surroundings proves: `ATTESTOR.CLAIM`. */
export function isOfPosture(attestors: ReadonlyMap<string, Attestor>, claim: string): boolean {
  if (!claim.includes('.')) return false
  return [...attestors].some(([name, { posture }]) => posture === true && claim.startsWith(`${name}.`))
}

/** Whoever names the claims of an identity, as tags are named, does not speak of its surroundings with that. */
export function ownClaims(
  attestors: ReadonlyMap<string, Attestor>,
  claims: Identity['claims'],
): Identity['claims'] {
  const names = Object.keys(claims)
  if (!names.some(name => isOfPosture(attestors, name))) return claims
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !isOfPosture(attestors, name)))
}

export type Unexamined = { ok: false; attestor: string; rejection: Rejection; detail: string }

/** Whom to ask. By unverified content: it chooses among configured trust roots, and nothing else. */
export function route(
  attestors: ReadonlyMap<string, Attestor>,
  evidence: Evidence,
  of: 'identity' | 'posture',
): { ok: true; name: string; attestor: Attestor } | Unexamined {
  // What speaks of surroundings is nobody's identity, and the other way round.
  const asked = [...attestors].filter(([, { posture }]) => (posture === true) === (of === 'posture'))
  const recognising = asked.filter(([, attestor]) => attestor.recognises(evidence))
  const meant =
    recognising.length === 1
      ? recognising
      : recognising.filter(([, attestor]) => attestor.isFor?.(evidence) ?? true)
  // A team's attestor takes nothing that one of the operator's takes.
  const operators = meant.filter(([name]) => !name.includes('.'))
  const candidates = operators.length > 0 ? operators : meant
  const [only] = candidates
  if (only !== undefined && candidates.length === 1) return { ok: true, name: only[0], attestor: only[1] }
  const names = recognising.map(([name]) => name).join(', ')
  if (recognising.length === 0) return rejected('none', 'issuer_not_trusted', 'no attestor recognises it')
  const detail = `recognised by ${names}, and meant for ${candidates.length} of them`
  return rejected('none', 'audience_wrong', detail)
}

function rejected(attestor: string, rejection: Rejection, detail: string): Unexamined {
  return { ok: false, attestor, rejection, detail }
}

/** One message for every rejected piece of evidence, so that the answer is no oracle. @param cause for the broker */
export function evidenceRejected(cause?: unknown): BrokerError {
  return new BrokerError('evidence_rejected', 'the evidence was not accepted', { cause })
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
