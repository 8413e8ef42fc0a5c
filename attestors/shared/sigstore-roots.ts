/**
 * Whom Sigstore bundles are verified against: trusted roots (protobuf-specs, TrustedRoot) from a file that the
 * operator keeps, so that nothing is fetched while evidence is checked.
 *
 * The file is one root, or one on each line, as `gh attestation trusted-root` writes them. A bundle must hold against
 * one root alone: a certificate of one and a timestamp of another do not make a whole.
 */
import { TrustedRoot } from '@sigstore/protobuf-specs'
import { toTrustMaterial, VerificationError, Verifier } from '@sigstore/verify'
import { AttestationUnavailable, type AttestorDeps, type Rejection } from '../attestor.ts'
import { accept, type Checked, refuse } from './checked.ts'
import type { SignedBundle } from './sigstore-bundle.ts'
import { parseStrictJsonObject } from './strict-json.ts'

const MAX_ROOTS = 8

/** How many witnesses a signature must have. */
export type Thresholds = {
  /** Transparency log entries. */
  logEntries: number
  /** Times of signing, by a log or by a timestamp authority (RFC 3161). At least one: the certificate lives minutes. */
  timestamps: number
  /** Signed certificate timestamps: the certificate is in a certificate transparency log. */
  certificateLogs: number
}

export type SigstoreRoots = {
  /** @returns when it was signed, epoch ms. @throws AttestationUnavailable where the roots cannot be read. */
  verify(bundle: SignedBundle): Promise<Checked<number>>
}

/** The file is looked at each time, and read as roots where it has changed. */
export function openSigstoreRoots(
  path: string,
  thresholds: Thresholds,
  { readFile }: Pick<AttestorDeps, 'readFile'>,
): SigstoreRoots {
  let read: { text: string; verifiers: readonly Verifier[] } | undefined
  return {
    async verify(bundle) {
      const text = await readFile(path).catch((cause: unknown) => {
        throw new AttestationUnavailable('the trusted root cannot be read', { cause })
      })
      if (read?.text !== text) read = { text, verifiers: readRoots(text, thresholds) }
      return verifyByAny(bundle, read.verifiers)
    },
  }
}

function readRoots(text: string, { logEntries, timestamps, certificateLogs }: Thresholds): Verifier[] {
  try {
    const roots = documents(text).map(document => TrustedRoot.fromJSON(document))
    if (roots.length > MAX_ROOTS) throw new Error(`more than ${MAX_ROOTS} roots`)
    return roots.map(root => {
      if (root.certificateAuthorities.length === 0) throw new Error('a root without an authority')
      return new Verifier(toTrustMaterial(root), {
        tlogThreshold: logEntries,
        timestampThreshold: timestamps,
        ctlogThreshold: certificateLogs,
      })
    })
  } catch (cause) {
    throw new AttestationUnavailable('the trusted root is not one, nor a list of them, one on each line', {
      cause,
    })
  }
}

function documents(text: string): object[] {
  const lines = text.split('\n').filter(line => line.trim() !== '')
  const isList = lines.length > 1 && lines.every(line => line.startsWith('{') && line.trimEnd().endsWith('}'))
  return isList ? lines.map(line => parseStrictJsonObject(line)) : [parseStrictJsonObject(text)]
}

function verifyByAny(bundle: SignedBundle, verifiers: readonly Verifier[]): Checked<number> {
  let failed: unknown
  for (const verifier of verifiers) {
    try {
      verifier.verify(bundle.entity)
      return signedAt(bundle)
    } catch (error) {
      failed = error
    }
  }
  return refusalOf(failed)
}

/** The earliest time that a witness vouches for. */
function signedAt({ entity }: SignedBundle): Checked<number> {
  const times = entity.timestamps.flatMap(witness => {
    if (witness.$case === 'timestamp-authority') return [witness.timestamp.signingTime.getTime()]
    // Without the log's own promise its time is anybody's (Sigstore client specification, "verifying a timestamp").
    return witness.tlogEntry.inclusionPromise === undefined
      ? []
      : [Number(witness.tlogEntry.integratedTime) * 1000]
  })
  const earliest = Math.min(...times)
  return Number.isSafeInteger(earliest)
    ? accept(earliest)
    : refuse('malformed', 'nobody says when it was signed')
}

type Code = VerificationError['code']
const REFUSALS: Readonly<Record<Code, [Rejection, string]>> = {
  CERTIFICATE_ERROR: [
    'chain_not_trusted',
    'no authority of the trusted root vouches for the certificate at the time of signing, or too few certificate logs do',
  ],
  PUBLIC_KEY_ERROR: ['key_unknown', 'no certificate'],
  SIGNATURE_ERROR: ['signature_invalid', 'the signature does not verify'],
  TIMESTAMP_ERROR: [
    'signature_invalid',
    'too few witnesses say when it was signed, or one that is not trusted does',
  ],
  TLOG_ERROR: ['signature_invalid', 'it is in too few transparency logs'],
  TLOG_BODY_ERROR: ['signature_invalid', 'the transparency log’s entry is of another signature'],
  TLOG_INCLUSION_PROOF_ERROR: ['signature_invalid', 'the proof of the transparency log does not verify'],
  TLOG_INCLUSION_PROMISE_ERROR: ['signature_invalid', 'the promise of the transparency log does not verify'],
  TLOG_MISSING_INCLUSION_ERROR: ['signature_invalid', 'the transparency log’s entry has no proof'],
  NOT_IMPLEMENTED_ERROR: ['malformed', 'a form of bundle that is not known'],
}

/** What the library throws beside its own errors is of bytes that it could not read. */
function refusalOf(error: unknown): Checked<never> {
  if (error instanceof VerificationError) return refuse(...REFUSALS[error.code])
  return refuse('malformed', 'a certificate, a proof or a timestamp in it cannot be read')
}
