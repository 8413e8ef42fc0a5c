/**
 * One signing key between its row and its use: sealed private part, MAC over everything that does not change.
 */
import { createHash } from 'node:crypto'
import type { SigningKeyRow } from '../store/rows.ts'
import type { PrivateJwk, PublicJwk } from './es256.ts'
import type { Keyring, MacFields } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'

const macKind = 'signing_keys'
const boundTo = (kid: string) => ({ row: kid, column: 'signing_keys.sealed_private' })

/** RFC 7638: base64url of SHA-256 over the required members in lexical order. */
export function thumbprint({ crv, kty, x, y }: PublicJwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}

export function toSigningKeyRow(
  jwk: PrivateJwk,
  to: { purpose: SigningKeyRow['purpose']; createdAt: number; state: 'next' | 'signing' },
  keyring: Keyring,
): SigningKeyRow {
  const { d, ...publicJwk } = jwk
  const kid = thumbprint(jwk)
  const row = {
    kid,
    purpose: to.purpose,
    state: to.state,
    public_jwk: JSON.stringify(publicJwk),
    sealed_private: keyring.seal(Buffer.from(d, 'base64url'), boundTo(kid)),
    created_at: to.createdAt,
    signing_from: to.state === 'signing' ? to.createdAt : null,
    superseded_at: null,
    retire_at: null,
  }
  return { ...row, mac: keyring.mac(macKind, immutable(row)) }
}

/** @throws KeyringError signing_key_altered where the row is not one this broker's KEK vouched for */
export function openSigningKeyRow(row: SigningKeyRow, keyring: Keyring): PrivateJwk {
  if (!keyring.verifyMac(macKind, immutable(row), row.mac)) throw altered(row)
  const publicJwk: PublicJwk = JSON.parse(row.public_jwk)
  if (thumbprint(publicJwk) !== row.kid) throw altered(row)
  const d = Buffer.from(keyring.open(row.sealed_private, boundTo(row.kid))).toString('base64url')
  return { ...publicJwk, d }
}

function immutable(row: Omit<SigningKeyRow, 'mac'>): MacFields {
  return {
    kid: row.kid,
    purpose: row.purpose,
    public_jwk: row.public_jwk,
    sealed_private_sha256: createHash('sha256').update(row.sealed_private).digest('hex'),
    created_at: row.created_at,
  }
}

function altered(row: Pick<SigningKeyRow, 'kid'>): KeyringError {
  return new KeyringError(
    'signing_key_altered',
    `Signing key ${row.kid} was written or changed by something that does not hold the key-encryption key.`,
  )
}
