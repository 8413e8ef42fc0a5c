/** The same by a broker that runs: it knows what was used already, and writes down who asked. */
import type { Evidence } from '../../../attestors/attestor.ts'
import { record } from '../../audit/record.ts'
import type { Broker } from '../broker.ts'
import { checkEvidence, type EvidenceReport } from './check-evidence.ts'
import { reuseId } from './reused-evidence.ts'

/**
 * @param actor who wants to know.
 * @returns `used`: whether a task was opened with it before; absent where it is no good, and where no use of it is
 * written down: of a statement, and of what counts as often as it comes
 */
export async function checkEvidenceHere(
  broker: Broker,
  actor: string,
  { evidence, agent }: { evidence: Evidence; agent: string | undefined },
): Promise<{ report: EvidenceReport; used?: boolean }> {
  const report = await checkEvidence(broker, evidence, agent)
  const { outcome, attestor = null, proof } = report
  const rejection = report.rejection?.code ?? null
  await broker.ledger.write(tx => record(tx, 'evidence.checked', { actor }, { outcome, attestor, rejection }))
  if (proof === undefined || proof.replay === 'open' || outcome === 'statement') return { report }
  const id = proof.replay === 'single_use' ? proof.replayId : reuseId(proof.replayId)
  return { report, used: (await broker.ledger.read.evidence(id)) !== undefined }
}
