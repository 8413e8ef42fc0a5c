/**
 * The signature algorithms evidence may use, each with the one kind of key it goes with (RFC 7518 section 3.1,
 * RFC 8037, RFC 9864). Symmetric algorithms and `none` are not on the list and cannot be configured.
 */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

type KeyKind = { kty: 'RSA' } | { kty: 'EC' | 'OKP'; crv: string }

const RSA = { kty: 'RSA' } as const
const KEY_KINDS: Record<Algorithm, KeyKind> = {
  RS256: RSA,
  RS384: RSA,
  RS512: RSA,
  PS256: RSA,
  PS384: RSA,
  PS512: RSA,
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
}

export function fitsAlgorithm(key: { kty: string; crv?: string | undefined }, algorithm: Algorithm): boolean {
  const kind = KEY_KINDS[algorithm]
  return key.kty === kind.kty && (kind.kty === 'RSA' || key.crv === kind.crv)
}
