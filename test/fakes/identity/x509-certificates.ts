/** Certificates of any shape, right and wrong ones, made by @peculiar/x509. */
import './no-metadata.ts'
import { createHash, generateKeyPairSync, type KeyObject, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** How a key is made and signs. `legacy`: RSA with SHA-1. `small`: RSA of 1024 bits. */
export type Kind = 'p256' | 'p384' | 'rsa' | 'legacy' | 'small' | 'ed25519'

export type Keys = {
  kind: Kind
  pair: webcrypto.CryptoKeyPair
  /** PKCS #8, PEM. */
  pem: string
}

export type Certified = { der: Uint8Array; name: string; keys: Keys }

export type CertificateRequest = {
  /** A distinguished name, `CN=somebody`; empty for none. */
  name: string
  keys: Keys
  /** Who signs; itself where absent. */
  issuer?: Pick<Certified, 'name' | 'keys'>
  /** Epoch ms. */
  notBefore: number
  notAfter: number
  extensions: readonly x509.Extension[]
  serial?: string
}

const ALGORITHMS: Readonly<Record<Kind, Record<string, unknown>>> = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  rsa: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  legacy: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1' },
  small: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  ed25519: { name: 'Ed25519' },
}

export async function makeKeys(kind: Kind = 'p256'): Promise<Keys> {
  const { privateKey, publicKey } = generate(kind)
  const algorithm = ALGORITHMS[kind] as unknown as webcrypto.EcKeyImportParams // one of the three shapes
  const pair = {
    privateKey: await crypto.subtle.importKey('pkcs8', der(privateKey, 'pkcs8'), algorithm, true, ['sign']),
    publicKey: await crypto.subtle.importKey('spki', der(publicKey, 'spki'), algorithm, true, ['verify']),
  }
  return { kind, pair, pem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() }
}

function generate(kind: Kind): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (kind) {
    case 'p256':
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: kind === 'p256' ? 'P-256' : 'P-384' })
    case 'ed25519':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('rsa', { modulusLength: kind === 'small' ? 1024 : 2048 })
  }
}

function der(key: KeyObject, type: 'pkcs8' | 'spki'): Uint8Array<ArrayBuffer> {
  return new Uint8Array(key.export({ format: 'der', type } as { format: 'der'; type: 'spki' }))
}

export async function makeCertificate(request: CertificateRequest): Promise<Certified> {
  const { name, keys, issuer = { name, keys }, notBefore, notAfter, extensions } = request
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: request.serial ?? serialOf(keys.pem + name + String(notBefore)),
    ...{ subject: name, issuer: issuer.name, publicKey: keys.pair.publicKey },
    ...{ notBefore: new Date(notBefore), notAfter: new Date(notAfter) },
    signingKey: issuer.keys.pair.privateKey,
    signingAlgorithm: ALGORITHMS[issuer.keys.kind] as unknown as x509.HashedAlgorithm & { name: string }, // as above
    extensions: [...extensions],
  })
  return { der: new Uint8Array(certificate.rawData), name, keys }
}

function serialOf(text: string): string {
  return `2a${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
}

export function pemOf(...certificates: readonly Uint8Array[]): string {
  return certificates
    .map(one => {
      const lines =
        Buffer.from(one)
          .toString('base64')
          .match(/.{1,64}/g) ?? []
      return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
    })
    .join('')
}

const flags = x509.KeyUsageFlags
export const USES = flags

/** The extensions that SVIDs and their authorities have, to be changed at will. */
export const extension = {
  basic: (ca: boolean, pathLength?: number, critical = true) =>
    new x509.BasicConstraintsExtension(ca, pathLength, critical),
  usage: (uses: number, critical = true) => new x509.KeyUsagesExtension(uses, critical),
  purposes: (...ids: string[]) => new x509.ExtendedKeyUsageExtension(ids, false),
  names: (names: x509.JsonGeneralNames, critical = false) =>
    new x509.SubjectAlternativeNameExtension(names, critical),
  /** One that nobody knows. `value`: DER. */
  other: (id: string, critical: boolean, value: Uint8Array<ArrayBuffer> = Uint8Array.of(0x05, 0x00)) =>
    new x509.Extension(id, critical, value),
}
