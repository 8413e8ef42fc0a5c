/**
 * A certificate (RFC 5280 section 4), read into what path validation and SVID rules ask of it. Reading judges
 * nothing but the form: whose it is, whether it may be used and whether anybody vouches for it is for others.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  BasicConstraints,
  Certificate as CertificateSchema,
  ExtendedKeyUsage,
  type Extension,
  KeyUsage,
  type KeyUsageType,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509'
import { accept, type Checked, refuse } from './checked.ts'
import { elementsIn, isDer, SEQUENCE } from './x509-der.ts'

export type Certificate = {
  /** DER, whole. */
  der: Uint8Array
  /** SHA-256 of what is signed, base64url: the same however the signature over it is written. */
  signedDigest: string
  /** DER of the names, for comparing. */
  issuer: Uint8Array
  subject: Uint8Array
  /** Epoch milliseconds. */
  notBefore: number
  notAfter: number
  /** Object identifier in dotted form. */
  signatureAlgorithm: string
  basicConstraints: { ca: boolean; pathLength: number | undefined } | undefined
  keyUsage: { critical: boolean; uses: ReadonlySet<KeyUsageType> } | undefined
  /** Object identifiers. */
  extendedKeyUsage: readonly string[] | undefined
  /** Of the subject alternative name. */
  uris: readonly string[]
  alternativeNameCritical: boolean
  /** Extensions that are critical, or that must be understood, and are not read here. */
  notUnderstood: readonly string[]
  /** For its key, and for the signature on it. */
  opened: X509Certificate
}

export const MAX_CERTIFICATE_BYTES = 32 * 1024

/** @returns `malformed` with what is wrong with its form. */
export function readCertificate(der: Uint8Array): Checked<Certificate> {
  if (der.length > MAX_CERTIFICATE_BYTES) return refuse('malformed', 'a certificate is too large')
  if (!isDer(der)) return refuse('malformed', 'a certificate is not DER')
  try {
    return readParts(der)
  } catch {
    return refuse('malformed', 'not a certificate')
  }
}

/** All of them, or `malformed`. */
export function readCertificates(chain: readonly Uint8Array[]): Checked<readonly Certificate[]> {
  const certificates: Certificate[] = []
  for (const der of chain) {
    const one = readCertificate(der)
    if (!one.ok) return one
    certificates.push(one.value)
  }
  return accept(certificates)
}

function readParts(der: Uint8Array): Checked<Certificate> {
  const { tbsCertificate: signed, signatureAlgorithm } = AsnConvert.parse(der, CertificateSchema)
  if (signed.version !== VERSION_3) return refuse('malformed', 'a certificate is not of version 3')
  const parts = rawParts(der)
  if (parts === undefined) return refuse('malformed', 'not a certificate')
  if (!same(parts.innerAlgorithm, parts.outerAlgorithm))
    return refuse('malformed', 'a certificate names two signature algorithms')
  const notBefore = timeOf(signed.validity.notBefore)
  const notAfter = timeOf(signed.validity.notAfter)
  if (!(notBefore <= notAfter)) return refuse('malformed', 'a certificate has no period of validity')
  const opened = new X509Certificate(der)
  // Read a second time, by the library that checks signatures: both see the same period, or it is not used.
  if (opened.validFromDate.getTime() !== notBefore || opened.validToDate.getTime() !== notAfter)
    return refuse('malformed', 'the period of validity can be read in two ways')
  const extensions: readonly Extension[] = signed.extensions ?? []
  if (new Set(extensions.map(({ extnID }) => extnID)).size !== extensions.length)
    return refuse('malformed', 'a certificate has an extension twice')
  return accept({
    der,
    signedDigest: createHash('sha256').update(parts.signed).digest('base64url'),
    ...{ issuer: parts.issuer, subject: parts.subject, notBefore, notAfter },
    signatureAlgorithm: signatureAlgorithm.algorithm,
    ...readExtensions(extensions),
    opened,
  })
}

const VERSION_3 = 2

const EXTENSION = {
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  alternativeName: '2.5.29.17',
  /** Whatever the policies are, any is taken, unless constraints ask for one: these are not understood. */
  policies: '2.5.29.32',
  nameConstraints: '2.5.29.30',
} as const
const UNDERSTOOD: ReadonlySet<string> = new Set([
  ...[EXTENSION.basicConstraints, EXTENSION.keyUsage, EXTENSION.extendedKeyUsage],
  ...[EXTENSION.alternativeName, EXTENSION.policies],
])

/** @throws Error where one that is read here is not of its form. */
function readExtensions(extensions: readonly Extension[]) {
  const find = (id: string) => extensions.find(({ extnID }) => extnID === id)
  const [constraints, usage, purposes, names] = [
    ...[find(EXTENSION.basicConstraints), find(EXTENSION.keyUsage)],
    ...[find(EXTENSION.extendedKeyUsage), find(EXTENSION.alternativeName)],
  ]
  const basic = constraints && AsnConvert.parse(derOf(constraints), BasicConstraints)
  return {
    basicConstraints: basic && { ca: basic.cA, pathLength: basic.pathLenConstraint },
    keyUsage: usage && {
      critical: usage.critical,
      uses: new Set(AsnConvert.parse(derOf(usage), KeyUsage).toJSON()),
    },
    extendedKeyUsage: purposes && [...AsnConvert.parse(derOf(purposes), ExtendedKeyUsage)],
    uris: names === undefined ? [] : urisOf(names),
    alternativeNameCritical: names?.critical ?? false,
    notUnderstood: extensions
      // A CA that is bound to some names and says so without insisting is bound all the same.
      .filter(
        one => one.extnID === EXTENSION.nameConstraints || (one.critical && !UNDERSTOOD.has(one.extnID)),
      )
      .map(({ extnID }) => extnID),
  }
}

function urisOf(names: Extension): string[] {
  return [...AsnConvert.parse(derOf(names), SubjectAlternativeName)].flatMap(
    ({ uniformResourceIdentifier: uri }) => (uri === undefined ? [] : [uri]),
  )
}

function derOf({ extnValue }: Extension): Uint8Array {
  const value = new Uint8Array(extnValue.buffer)
  if (!isDer(value)) throw new Error('an extension is not DER')
  return value
}

/** The bytes that are compared and hashed, as they stand (RFC 5280 section 4.1). */
function rawParts(der: Uint8Array) {
  const [outer] = elementsIn(der)
  const [signed, outerAlgorithm] = elementsIn(outer?.content ?? der.subarray(0, 0))
  // version [0], serialNumber, signature, issuer, validity, subject
  const [, , innerAlgorithm, issuer, , subject] = elementsIn(signed?.content ?? der.subarray(0, 0))
  if (signed === undefined || outerAlgorithm === undefined || innerAlgorithm === undefined) return undefined
  if (issuer?.tag !== SEQUENCE || subject?.tag !== SEQUENCE) return undefined
  return {
    signed: signed.whole,
    ...{ innerAlgorithm: innerAlgorithm.whole, outerAlgorithm: outerAlgorithm.whole },
    ...{ issuer: issuer.whole, subject: subject.whole },
  }
}

function timeOf(time: { utcTime?: Date; generalTime?: Date }): number {
  return (time.utcTime ?? time.generalTime)?.getTime() ?? Number.NaN
}

export function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

/** RFC 5280 section 4.1.2.6: a name without parts. */
export function isEmptyName(name: Uint8Array): boolean {
  return name.length === 2
}
