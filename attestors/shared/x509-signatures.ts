/** Which keys and signatures on certificates are good enough, and whether a signature is by a key. */
import type { KeyObject } from 'node:crypto'
import { rsaWeakness } from './key-strength.ts'
import type { Certificate } from './x509-certificate.ts'

/**
 * By object identifier (RFC 8017 appendix C, RFC 5758, RFC 8410): the kind of key that makes them. Nothing with SHA-1
 * or MD5, and no RSASSA-PSS, whose parameters would have to be judged.
 */
const SIGNATURES: Readonly<Record<string, KeyObject['asymmetricKeyType']>> = {
  '1.2.840.113549.1.1.11': 'rsa',
  '1.2.840.113549.1.1.12': 'rsa',
  '1.2.840.113549.1.1.13': 'rsa',
  '1.2.840.10045.4.3.2': 'ec',
  '1.2.840.10045.4.3.3': 'ec',
  '1.2.840.10045.4.3.4': 'ec',
  '1.3.101.112': 'ed25519',
}
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']

export function isSignatureAllowed({ signatureAlgorithm }: Pick<Certificate, 'signatureAlgorithm'>): boolean {
  return Object.hasOwn(SIGNATURES, signatureAlgorithm)
}

/** @returns what is wrong with a certificate's key, or undefined */
export function keyWeakness({ opened }: Pick<Certificate, 'opened'>): string | undefined {
  const key = keyOf(opened)
  switch (key?.asymmetricKeyType) {
    case 'rsa': {
      const { n = '', e = '' } = key.export({ format: 'jwk' })
      return rsaWeakness(n, e)
    }
    case 'ec':
      return CURVES.includes(key.asymmetricKeyDetails?.namedCurve) ? undefined : 'a curve that is not used'
    case 'ed25519':
      return undefined
    default:
      return 'a kind of key that is not used'
  }
}

/** @param issuer one whose key has no weakness: what it costs to check depends on the key. */
export function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  const key = keyOf(issuer.opened)
  if (key === undefined || SIGNATURES[certificate.signatureAlgorithm] !== key.asymmetricKeyType) return false
  try {
    return certificate.opened.verify(key)
  } catch {
    return false
  }
}

function keyOf(opened: Certificate['opened']): KeyObject | undefined {
  try {
    return opened.publicKey
  } catch {
    return undefined
  }
}
