import { AttestationUnavailable } from '../../../attestors/attestor.ts'
import { ProviderUnavailable } from '../../../issuers/issuer.ts'
import type { WorkState } from '../../../issuers/shared/work.ts'
import type { Agent } from '../../policy/agent.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { withOwnLease } from '../credentials/system-lease.ts'
import { rejectEvidence } from './attest.ts'

/**
 * For agents that want it: the provider itself is asked whether the job that the evidence was issued to is
 * running now. Evidence that no CI system issued has no job to ask for, and passes.
 *
 * @throws BrokerError `evidence_rejected` where the job is not in progress; `attestation_unavailable` where
 * that could not be learned.
 */
export async function demandRunning(broker: Broker, agent: Agent, identity: Identity): Promise<void> {
  const { work, attestor } = identity
  const { verifyRunning: rule } = broker
  const wanted = agent.verify_job_running ?? rule?.tiers.includes(agent.risk_tier) ?? false
  if (!wanted || work === undefined) return
  if (work.job === undefined)
    throw await rejectEvidence(broker, attestor, 'job_not_running', 'the evidence names no job to ask for')
  const state = await lookAt(broker, rule?.issuer, { ...work, job: work.job })
  if (state?.state === 'running') return
  const said = state === undefined ? 'not known there' : state.state
  throw await rejectEvidence(
    broker,
    attestor,
    'job_not_running',
    `job ${work.job} of run ${work.run} is ${said}`,
  )
}

async function lookAt(
  broker: Broker,
  issuer: string | undefined,
  work: NonNullable<Identity['work']> & { job: string },
): Promise<WorkState | undefined> {
  const watch = issuer === undefined ? undefined : broker.issuers.get(issuer)?.watch
  try {
    // One provider's numbers mean nothing to another.
    if (issuer === undefined || watch?.provider !== work.provider)
      throw new AttestationUnavailable(`no issuer looks at jobs of ${work.provider}`)
    const ask = watch.ask(work.repository, work.repositoryName)
    const look = await withOwnLease(broker, issuer, ask, 'look at a job', lease =>
      watch.job(work, work.job, lease.secret, lease.lease),
    )
    return look.seen
  } catch (cause) {
    broker.log.warn({ issuer, err: cause }, 'whether a job is running could not be learned')
    const retryAfterMs =
      cause instanceof ProviderUnavailable || cause instanceof BrokerError ? cause.retryAfterMs : undefined
    throw new BrokerError(
      'attestation_unavailable',
      'whether the job is running could not be learned just now; try again',
      { cause, retryAfterMs: retryAfterMs ?? broker.limits.attestationRetryAfterMs },
    )
  }
}
