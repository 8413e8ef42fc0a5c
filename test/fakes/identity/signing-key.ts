import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'
import type { Algorithm } from '../../../attestors/shared/algorithms.ts'

export type SigningKey = {
  kid: string
  algorithm: Algorithm
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
  algorithm: Algorithm,
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

function generate(algorithm: Algorithm, modulusLength: number): KeyObject {
  const namedCurve = CURVES[algorithm]
  if (namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve }).privateKey
  if (isEdwards(algorithm)) return generateKeyPairSync('ed25519').privateKey
  return generateKeyPairSync('rsa', { modulusLength }).privateKey
}

const CURVES: Partial<Record<Algorithm, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

/** RFC 7518 section 3: ECDSA as r || s, PSS with a salt as long as the hash. */
function signAs(algorithm: Algorithm, key: KeyObject, bytes: Uint8Array): Buffer {
  if (isEdwards(algorithm)) return signBytes(null, bytes, key)
  const hash = `sha${algorithm.slice(2)}`
  if (algorithm.startsWith('RS')) return signBytes(hash, bytes, key)
  if (algorithm.startsWith('ES')) return signBytes(hash, bytes, { key, dsaEncoding: 'ieee-p1363' })
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants
  return signBytes(hash, bytes, { key, padding, saltLength })
}

function isEdwards(algorithm: Algorithm): boolean {
  return algorithm.startsWith('Ed')
}
