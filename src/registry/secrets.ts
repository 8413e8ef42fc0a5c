/**
 * What a team uploads for an instance of its own: sealed under the broker's key, bound to that instance, and
 * opened for that instance alone. Nothing answers with it.
 */
import type { Broker } from '../broker/broker.ts'
import type { ResourceKind, ResourceSecretRow } from '../store/rows.ts'

export type SecretOf = { kind: ResourceKind; resource: string; name: string }

/** How a setting speaks of an uploaded secret. */
export const SECRET_PREFIX = 'secret:'
const COLUMN = 'resource_secrets.sealed'

type Keyed = Pick<Broker, 'keyring'>

export function sealSecret({ keyring }: Keyed, of: SecretOf, value: string, at: number): ResourceSecretRow {
  const { kind, resource, name } = of
  return { kind, resource, name, sealed: keyring.seal(value, { row: rowOf(of), column: COLUMN }), at }
}

/** @throws KeyringError where it was sealed for another */
export function openSecret({ keyring }: Keyed, row: ResourceSecretRow): string {
  return Buffer.from(keyring.open(row.sealed, { row: rowOf(row), column: COLUMN })).toString('utf8')
}

/** Tells whether a secret is the same without telling it: an HMAC under the broker's key, 64 hex digits. */
export function fingerprintOf({ keyring }: Keyed, { kind, resource, name }: SecretOf, value: string): string {
  return keyring.tokenHash(JSON.stringify(['resource secret', kind, resource, name, value]))
}

/** A resource's name begins with its namespace: bound to the one is bound to the other. */
const rowOf = ({ kind, resource, name }: SecretOf) =>
  JSON.stringify(['resource_secrets', kind, resource, name])
