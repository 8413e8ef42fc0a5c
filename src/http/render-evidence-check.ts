import type { EvidenceReport } from '../broker/tasks/check-evidence.ts'

/** @param used whether a task was opened with it; undefined where there is no ledger to ask, or nothing to ask for */
export function renderEvidenceCheck(report: EvidenceReport, used: boolean | undefined) {
  const { outcome, attestor, nearly, checks, rejection, unavailable, proof, match } = report
  return {
    outcome,
    attestor: attestor ?? null,
    nearly,
    checks: checks.map(({ clockAheadMs: _, ...check }) => check),
    rejection: rejection ?? null,
    unavailable: unavailable ?? null,
    clock: {
      issued_ago_seconds: report.issuedAgoS ?? null,
      key_server_ahead_seconds: report.keyServerAheadS ?? null,
    },
    identity: proof === undefined ? null : renderProof(proof),
    replay:
      proof === undefined
        ? null
        : { kind: proof.replay, used: used ?? null, until: new Date(proof.until).toISOString() },
    agent: match?.ok ? match.agent.name : null,
    unmatched: match === undefined || match.ok ? null : { why: match.why, near: match.near },
    agents: report.agents,
  }
}

function renderProof({
  issuer,
  subject,
  claims,
  mustName,
  work,
  boundKey,
}: NonNullable<EvidenceReport['proof']>) {
  return {
    ...{ issuer, subject, must_name: mustName },
    claims: claims.map(({ name, value, type, decidedBy, countsWith }) => ({
      ...{ name, value, type: type ?? null, decided_by: decidedBy, counts_with: countsWith ?? null },
    })),
    work: work ?? null,
    bound_key: boundKey ?? null,
  }
}
