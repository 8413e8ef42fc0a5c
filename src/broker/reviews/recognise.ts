/**
 * Which credentials of a provider's own log this broker handed out. One that it did not, though the App or the role
 * is the broker's alone, was minted by somebody else with its key.
 */
import { record } from '../../audit/record.ts'
import type { Broker } from '../broker.ts'

export type Sighting =
  /** SHA-256 of a credential, hex. */
  | { sha256: string }
  /** The name of a role session, which is the lease's id for one of the broker's. */
  | { session: string }

export type Recognised = Sighting & { lease: string | null }

/** @param by whoever brought the log, as audit rows name them. Those that nobody knows are an alarm. */
export async function recognise(
  broker: Broker,
  sightings: readonly Sighting[],
  by: string,
): Promise<Recognised[]> {
  const { read } = broker.ledger
  const looked: Recognised[] = []
  for (const one of sightings) {
    const lease = 'sha256' in one ? await read.leaseBySecret(one.sha256) : await read.lease(one.session)
    looked.push({ ...one, lease: lease?.id ?? null })
  }
  const unknown = looked.filter(one => one.lease === null).map(({ lease: _, ...one }) => one)
  if (unknown.length === 0) return looked
  broker.log.error(
    { alarm: 'credential_unknown', count: unknown.length },
    "a provider's log shows credentials that this broker never handed out",
  )
  await broker.ledger.write(tx => record(tx, 'credential.unknown', { actor: by }, { unknown }))
  return looked
}
