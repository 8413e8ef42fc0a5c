/** A trusted issuer whose key set holds keys that nobody should use: weak, ambiguous, or meant for other things. */
import { createHash } from 'node:crypto'
import { createForger, type Part } from '../fakes/identity/forger.ts'
import { type KeyServer, startKeyServer } from '../fakes/identity/key-server.ts'

export type SloppyIssuer = {
  server: KeyServer
  /** Tokens over this payload that verify under one of the published keys, each with what is wrong with it. */
  tokens(payload: Part): Record<string, string>
}

export async function createSloppyIssuer(): Promise<SloppyIssuer> {
  const short = createForger({ algorithm: 'RS256', kid: 'short', modulusLength: 1024 })
  const identity = createForger({ algorithm: 'RS256', kid: 'identity' })
  const encryption = createForger({ kid: 'encryption' })
  const wrapping = createForger({ kid: 'wrapping' })
  const leaked = createForger({ kid: 'leaked' })
  const otherAlgorithm = createForger({ algorithm: 'RS256', kid: 'pss' })
  const [one, other] = [createForger({ kid: 'twin' }), createForger({ kid: 'twin' })]
  const server = await startKeyServer({
    keys: [
      short.key.publicJwk,
      { ...identity.key.publicJwk, e: 'AQ' },
      { ...encryption.key.publicJwk, use: 'enc' },
      { ...wrapping.key.publicJwk, key_ops: ['wrapKey'] },
      leaked.key.privateJwk,
      { ...otherAlgorithm.key.publicJwk, alg: 'PS256' },
      { kty: 'oct', kid: 'shared', k: Buffer.from('a shared secret').toString('base64url') },
      one.key.publicJwk,
      other.key.publicJwk,
    ],
  })
  return {
    server,
    tokens: payload => ({
      'RSA of 1024 bits': short.token(payload),
      'RSA with exponent 1': withExponentOne(payload, 'identity', 2048),
      'a key for encryption': encryption.token(payload),
      'a key for wrapping': wrapping.token(payload),
      'a key published with its private part': leaked.token(payload),
      'a key marked for PS256': otherAlgorithm.token(payload),
      'a shared secret': createForger({ kid: 'shared' }).hmacToken(payload, 'a shared secret'),
      'two keys of one kid': one.token(payload),
      'no kid, two keys fit': other.token(payload, { kid: undefined }),
    }),
  }
}

/** Under e = 1 the padded message (RFC 8017 section 9.2) is its own signature. */
function withExponentOne(payload: Part, kid: string, bits: number): string {
  const [header, body] = createForger({ kid }).token(payload, { alg: 'RS256' }).split('.')
  const digest = createHash('sha256').update(`${header}.${body}`).digest()
  const info = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), digest])
  const padding = Buffer.alloc(bits / 8 - 3 - info.length, 0xff)
  const signature = Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), info])
  return `${header}.${body}.${signature.toString('base64url')}`
}
