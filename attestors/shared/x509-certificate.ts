/**
 * A certificate (RFC 5280 section 4), read into what path validation and SVID rules ask of it. Reading judges
 * nothing but the form: whose it is, whether it may be used and whether anybody vouches for it is for others.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  KeyUsage,
  type KeyUsageType,
  SubjectAlternativeName,
  Validity,
} from '@peculiar/asn1-x509'
import { accept, type Checked, refuse } from './checked.ts'
import { type Element, elementsIn, isDer, SEQUENCE } from './x509-der.ts'

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
  const parts = rawParts(der)
  if (parts === undefined) return refuse('malformed', 'not a certificate of version 3')
  if (!same(parts.innerAlgorithm, parts.outerAlgorithm))
    return refuse('malformed', 'a certificate names two signature algorithms')
  // The whole of it, names and key included, is read by the library that checks signatures.
  const opened = new X509Certificate(der)
  const { notBefore, notAfter } = AsnConvert.parse(parts.validity, Validity)
  const period = { notBefore: timeOf(notBefore), notAfter: timeOf(notAfter) }
  if (!(period.notBefore <= period.notAfter))
    return refuse('malformed', 'a certificate has no period of validity')
  if (opened.validFromDate.getTime() !== period.notBefore || opened.validToDate.getTime() !== period.notAfter)
    return refuse('malformed', 'the period of validity can be read in two ways')
  const extensions = parts.extensions.map(one => AsnConvert.parse(one, Extension))
  if (new Set(extensions.map(({ extnID }) => extnID)).size !== extensions.length)
    return refuse('malformed', 'a certificate has an extension twice')
  return accept({
    der,
    signedDigest: createHash('sha256').update(parts.signed).digest('base64url'),
    ...{ issuer: parts.issuer, subject: parts.subject, ...period },
    signatureAlgorithm: AsnConvert.parse(parts.outerAlgorithm, AlgorithmIdentifier).algorithm,
    ...readExtensions(extensions),
    opened,
  })
}

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

/** The fields of a certificate as they stand (RFC 5280 section 4.1): some are compared or hashed as bytes. */
function rawParts(der: Uint8Array) {
  const [signed, outerAlgorithm, signature, ...more] = partsOf(elementsIn(der)[0])
  const [version, serial, innerAlgorithm, issuer, validity, subject, key, ...optional] = partsOf(signed)
  const isComplete = signed !== undefined && key !== undefined && signature !== undefined && more.length === 0
  if (!isComplete || version === undefined || !same(version.whole, VERSION_3)) return undefined
  if (outerAlgorithm === undefined || innerAlgorithm === undefined || serial?.tag !== INTEGER)
    return undefined
  if (issuer?.tag !== SEQUENCE || validity?.tag !== SEQUENCE || subject?.tag !== SEQUENCE) return undefined
  // Unique identifiers may stand before the extensions, which are last.
  if (!optional.every(({ tag }, index) => OPTIONAL.includes(tag) && tag > (optional[index - 1]?.tag ?? 0)))
    return undefined
  const list = optional.find(({ tag }) => tag === EXTENSIONS)
  const lists = list === undefined ? [] : partsOf(list)
  if (list !== undefined && (lists.length !== 1 || lists[0]?.tag !== SEQUENCE)) return undefined
  return {
    signed: signed.whole,
    ...{ innerAlgorithm: innerAlgorithm.whole, outerAlgorithm: outerAlgorithm.whole },
    ...{ issuer: issuer.whole, subject: subject.whole, validity: validity.whole },
    extensions: partsOf(lists[0]).map(({ whole }) => whole),
  }
}

/** `[0] { INTEGER 2 }` */
const VERSION_3 = Uint8Array.of(0xa0, 0x03, 0x02, 0x01, 0x02)
const INTEGER = 0x02
const EXTENSIONS = 0xa3
/** `[1]` and `[2]` IMPLICIT BIT STRING, `[3]` Extensions. */
const OPTIONAL: readonly number[] = [0x81, 0x82, EXTENSIONS]

function partsOf(element: Element | undefined): Element[] {
  return element === undefined ? [] : elementsIn(element.content)
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
