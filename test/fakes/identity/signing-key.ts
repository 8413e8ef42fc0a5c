import { createPublicKey, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'

export type TestAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA'

export type SigningKey = {
  kid: string
  algorithm: TestAlgorithm
  privateKey: KeyObject
  publicKey: KeyObject
  /** As a key set lists it: kid, alg, `use: sig`. */
  publicJwk: Record<string, unknown>
  privateJwk: Record<string, unknown>
  sign(bytes: Uint8Array): Buffer
}

type KeyOptions = { modulusLength?: number; privateKey?: KeyObject }

/** A real key of any strength, so that weak ones can be tried too; `privateKey` where it need not be fresh. */
export function createSigningKey(
  algorithm: TestAlgorithm,
  kid: string,
  { modulusLength = 2048, privateKey = generate(algorithm, modulusLength) }: KeyOptions = {},
): SigningKey {
  const publicKey = createPublicKey(privateKey)
  const marks = { kid, alg: algorithm, use: 'sig' }
  return {
    kid,
    algorithm,
    privateKey,
    publicKey,
    publicJwk: { ...publicKey.export({ format: 'jwk' }), ...marks },
    privateJwk: { ...privateKey.export({ format: 'jwk' }), ...marks },
    sign: bytes => signAs(algorithm, privateKey, bytes),
  }
}

function generate(algorithm: TestAlgorithm, modulusLength: number): KeyObject {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  if (algorithm === 'ES384') return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519').privateKey
  return generateKeyPairSync('rsa', { modulusLength }).privateKey
}

/** RFC 7518 section 3: ECDSA as r || s, PSS with a salt as long as the hash. */
function signAs(algorithm: TestAlgorithm, key: KeyObject, bytes: Uint8Array): Buffer {
  if (algorithm === 'EdDSA') return signBytes(null, bytes, key)
  const hash = algorithm === 'ES384' ? 'sha384' : 'sha256'
  if (algorithm === 'PS256') return signBytes(hash, bytes, { key, padding: 6, saltLength: 32 })
  if (algorithm === 'RS256') return signBytes(hash, bytes, key)
  return signBytes(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
}
