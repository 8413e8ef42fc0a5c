/**
 * A Sigstore bundle (protobuf-specs, bundle v0.1 to v0.3) around one in-toto statement, taken apart. Nothing of it is
 * verified here; `sigstore-roots.ts` does that.
 */
import { createHash } from 'node:crypto'
import { type Bundle, bundleFromJSON, isBundleWithDsseEnvelope } from '@sigstore/bundle'
import { type SignedEntity, toSignedEntity } from '@sigstore/verify'
import type { Evidence } from '../attestor.ts'
import { accept, type Checked, refuse } from './checked.ts'
import {
  isJsonObject,
  type JsonObject,
  member,
  parseStrictJsonObject,
  StrictJsonError,
} from './strict-json.ts'
import { isText } from './typed-issuer.ts'
import { elementsIn, isDer } from './x509-der.ts'

/** Each is a signature to check. */
const MAX_WITNESSES = 8
const MAX_SUBJECTS = 64
/** DSSE's type of an in-toto statement (in-toto attestation framework, envelope). */
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const UTF8_STRING = 0x0c
/** Fulcio, "Sigstore OID information": 1.3.6.1.4.1.57264.1.8 and on are DER UTF8Strings. */
const FULCIO = '1.3.6.1.4.1.57264.1'
const ISSUER = 8

export type SignedBundle = {
  entity: SignedEntity
  /** Of whom the certificate is. */
  signer: Signer
  /** What was signed. */
  payload: Uint8Array
  /** The same for every spelling of one bundle. */
  id: string
}

export type Signer = {
  /** The OIDC issuer that vouched for whoever signed. */
  issuer: string | undefined
  /** The certificate's one subject alternative name. */
  name: string | undefined
  isAuthority: boolean
  /** The text of an extension of Fulcio's, by the last number of its OID. */
  said(extension: number): string | undefined
}

export type Statement = {
  predicateType: string
  predicate: JsonObject
  subjects: readonly { name: string | undefined; digest: JsonObject }[]
}

export function readBundle(evidence: Evidence): Checked<SignedBundle> {
  if (evidence.type !== 'sigstore') return refuse('malformed', 'not a Sigstore bundle')
  const parsed = attempt(() => bundleFromJSON(evidence.bundle))
  if (parsed === undefined)
    return refuse('malformed', 'not a bundle with one signature, a certificate and its proofs')
  if (!isBundleWithDsseEnvelope(parsed)) return refuse('malformed', 'it signs a digest, and no statement')
  const { payload, payloadType } = parsed.content.dsseEnvelope
  if (payloadType !== PAYLOAD_TYPE)
    return refuse('type_not_allowed', 'it signs something that is no in-toto statement')
  const { tlogEntries, timestampVerificationData } = parsed.verificationMaterial
  const witnesses = tlogEntries.length + (timestampVerificationData?.rfc3161Timestamps.length ?? 0)
  if (witnesses > MAX_WITNESSES)
    return refuse('malformed', `more than ${MAX_WITNESSES} log entries and timestamps`)
  const leaf = leafOf(parsed)
  if (leaf === undefined)
    return refuse('key_unknown', 'it is signed by a bare key, which no authority vouches for')
  if (!isDer(leaf)) return refuse('malformed', 'its certificate is not DER')
  const signed = attempt(() => {
    const entity = toSignedEntity(parsed)
    return { entity, signer: signerOf(entity) }
  })
  if (signed === undefined) return refuse('malformed', 'its certificate or a timestamp cannot be read')
  const id = createHash('sha256').update(`${leaf.length}.`).update(leaf).update(payload).digest('base64url')
  return accept({ ...signed, payload, id })
}

/** Of a payload that somebody trusted has signed. */
export function readStatement(payload: Uint8Array): Checked<Statement> {
  let statement: JsonObject
  try {
    statement = parseStrictJsonObject(payload)
  } catch (error) {
    if (error instanceof StrictJsonError) return refuse('malformed', `strict JSON: ${error.message}`)
    throw error
  }
  if (member(statement, '_type') !== STATEMENT_TYPE)
    return refuse('type_not_allowed', `it is not of type ${STATEMENT_TYPE}`)
  const predicateType = member(statement, 'predicateType')
  if (!isText(predicateType)) return refuse('claim_missing', 'predicateType')
  const predicate = member(statement, 'predicate')
  const subject = member(statement, 'subject')
  if (!isJsonObject(predicate)) return refuse('claim_missing', 'predicate')
  if (!Array.isArray(subject) || subject.length === 0) return refuse('claim_missing', 'subject')
  if (subject.length > MAX_SUBJECTS) return refuse('claim_malformed', `more than ${MAX_SUBJECTS} subjects`)
  const subjects = subject.map(one => {
    const [name, digest] = isJsonObject(one) ? [member(one, 'name'), member(one, 'digest')] : []
    return { name: isText(name) ? name : undefined, digest: isJsonObject(digest) ? digest : {} }
  })
  return accept({ predicateType, predicate, subjects })
}

/** DER. A bundle of before v0.3 has a chain, of which only the leaf is taken. */
function leafOf({ verificationMaterial: { content } }: Bundle): Uint8Array | undefined {
  if (content.$case === 'certificate') return content.certificate.rawBytes
  if (content.$case === 'x509CertificateChain') return content.x509CertificateChain.certificates[0]?.rawBytes
  return undefined
}

function signerOf({ key }: SignedEntity): Signer {
  if (key.$case !== 'certificate') throw new TypeError('a certificate was there before')
  const { certificate } = key
  const said = (extension: number) => {
    const value = certificate.extension(`${FULCIO}.${extension}`)?.value
    return value === undefined ? undefined : utf8String(value)
  }
  const name = certificate.subjectAltName
  return {
    issuer: said(ISSUER),
    name: isText(name) ? name : undefined,
    isAuthority:
      certificate.extBasicConstraints?.isCA === true || certificate.extKeyUsage?.keyCertSign === true,
    said,
  }
}

function utf8String(der: Uint8Array): string | undefined {
  const [only, ...others] = isDer(der) ? elementsIn(der) : []
  if (only?.tag !== UTF8_STRING || others.length > 0) return undefined
  const text = attempt(() => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(only.content))
  return isText(text) && text !== '' ? text : undefined
}

/** The libraries throw at what they cannot read, each in its own way. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
