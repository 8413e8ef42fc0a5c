/**
 * ES256 (RFC 7518 section 3.4) on Node's own crypto. It signs in the thread pool: a signature costs as much as the
 * statements of an exchange. Signatures have one spelling: s is in the lower half of the group's order, and a verifier
 * here refuses the twin (r, n - s).
 */
import { createECDH, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { RandomBytes } from './random.ts'

export type PublicJwk = { kty: 'EC'; crv: 'P-256'; x: string; y: string }
export type PrivateJwk = PublicJwk & { d: string }

/** A key pair opened for use. */
export type SigningKey = {
  sign(data: Uint8Array): Promise<Uint8Array>
  /** @returns whether this key made exactly these 64 bytes over the data */
  verify(data: Uint8Array, signature: Uint8Array): boolean
}

/** What the key set stands on; a simulation brings its own, as fast and as repeatable as it likes. */
export interface SignatureScheme {
  readonly alg: string
  /** A private key made of the randomness given and nothing else. */
  generate(random: RandomBytes): PrivateJwk
  open(key: PrivateJwk): SigningKey
}

// SEC 2 section 2.4.2: the order of P-256's group.
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

export const es256: SignatureScheme = {
  alg: 'ES256',
  generate(random) {
    const ecdh = createECDH('prime256v1')
    const scalar = privateScalar(random)
    ecdh.setPrivateKey(scalar)
    // 0x04 || x || y
    const point = ecdh.getPublicKey()
    return {
      kty: 'EC',
      crv: 'P-256',
      x: point.subarray(1, 33).toString('base64url'),
      y: point.subarray(33, 65).toString('base64url'),
      d: Buffer.from(scalar).toString('base64url'),
    }
  },

  open(jwk) {
    const { d: _, ...publicJwk } = jwk
    const privateKey = withFixedSize(createPrivateKey({ key: jwk, format: 'jwk' }))
    const publicKey = withFixedSize(createPublicKey({ key: publicJwk, format: 'jwk' }))
    return {
      sign: data =>
        new Promise((resolve, reject) => {
          sign('sha256', data, privateKey, (error, signature) =>
            error === null ? resolve(lowS(signature)) : reject(error),
          )
        }),
      verify: (data, signature) =>
        signature.length === 64 &&
        scalarOf(signature) <= order / 2n &&
        verify('sha256', data, publicKey, signature),
    }
  },
}

/**
 * Signatures as r || s. `{ key, dsaEncoding }` says the same, but finding the key inside it costs node:crypto
 * two exceptions thrown and caught, together as much as the signature.
 */
function withFixedSize(key: KeyObject) {
  return Object.assign(key, { dsaEncoding: 'ieee-p1363' } as const)
}

/** Uniform in [1, n - 1] by rejection; one draw in 2^32 is thrown away, so eight in a row is a broken source. */
function privateScalar(random: RandomBytes): Uint8Array {
  for (let draw = 0; draw < 8; draw++) {
    const bytes = random(32)
    const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
    if (value > 0n && value < order) return bytes
  }
  throw new RangeError('The source of randomness gives no usable private key.')
}

function lowS(signature: Buffer): Uint8Array {
  const s = scalarOf(signature)
  if (s <= order / 2n) return signature
  const low = Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex')
  return Buffer.concat([signature.subarray(0, 32), low])
}

/** The second half of an r || s signature. */
function scalarOf(signature: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
}
