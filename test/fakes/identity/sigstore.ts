/**
 * A small Sigstore: an authority that certifies who builds (Fulcio), a certificate transparency log, a transparency
 * log (Rekor v1) and a timestamp authority, with keys of their own. Forms: Sigstore's protobuf-specs, RFC 6962
 * (SCTs, Merkle tree hashes), RFC 3161, DSSE v1.0.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { sequence, timestampToken, utf8 } from './der.ts'
import { type Certified, extension, type Keys, makeCertificate, makeKeys, USES } from './x509-certificates.ts'

export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com'
export const PROVENANCE = 'https://slsa.dev/provenance/v1'
export const WORKFLOW = 'https://github.com/acme/agent/.github/workflows/release.yml'

const MINUTE_MS = 60_000
const FULCIO = '1.3.6.1.4.1.57264.1'
const SCT_LIST = '1.3.6.1.4.1.11129.2.4.2'

/** What Fulcio writes for a job of acme/agent (id 11, owner 5001), by the last number of its OIDs. */
const JOB: Readonly<Record<number, string>> = {
  8: GITHUB_ISSUER,
  9: `${WORKFLOW}@refs/heads/main`,
  11: 'github-hosted',
  12: 'https://github.com/acme/agent',
  13: '1d2c3b4a5968778695a4b3c2d1e0f0e1d2c3b4a5',
  14: 'refs/heads/main',
  15: '11',
  16: 'https://github.com/acme',
  17: '5001',
  18: `${WORKFLOW}@refs/heads/main`,
  20: 'push',
}

export type Attestation = {
  /** `sha256:…` */
  image: string
  /** Members of the statement, over the usual ones. */
  statement?: Record<string, unknown>
  payloadType?: string
  /** Texts of Fulcio's extensions, over the usual ones; undefined takes one out. */
  said?: Record<number, string | undefined>
  /** The certificate's subject alternative name. */
  san?: string
  /** Epoch ms; now where absent. */
  signedAt?: number
  /** From `signedAt` to the certificate's end, ms. */
  certificateMs?: number
  /** What vouches for the time, and for the certificate. */
  logEntries?: 0 | 1
  timestamps?: 0 | 1
  certificateLogs?: 0 | 1
  /** The certificate is itself an authority's. */
  authority?: true
}

export type Sigstore = {
  /** As `gh attestation trusted-root` prints it: JSON on one line. */
  trustedRoot(): string
  attest(attestation: Attestation): Promise<Record<string, unknown>>
}

type Log = { keys: Keys; key: KeyObject; id: Buffer }
type House = { ca: Certified; ctLog: Log; rekor: Log; tsa: Certified; tsaRoot: Certified; since: number }

export async function createSigstore(now: () => number): Promise<Sigstore> {
  const since = now() - 3_650 * 24 * 60 * MINUTE_MS
  const until = now() + 3_650 * 24 * 60 * MINUTE_MS
  const times = { notBefore: since, notAfter: until }
  const authority = async (name: string) =>
    makeCertificate({
      ...{ name, keys: await makeKeys(), ...times },
      extensions: [extension.basic(true), extension.usage(USES.keyCertSign)],
    })
  const tsaRoot = await authority('CN=root.tsa.fake.test')
  const tsa = await makeCertificate({
    ...{ name: 'CN=tsa.fake.test', keys: await makeKeys(), issuer: tsaRoot, ...times },
    extensions: [extension.usage(USES.digitalSignature), extension.purposes('1.3.6.1.5.5.7.3.8')],
  })
  const house: House = {
    ca: await authority('CN=fulcio.fake.test'),
    ctLog: await openLog(),
    rekor: await openLog(),
    ...{ tsa, tsaRoot, since },
  }
  return {
    trustedRoot: () => JSON.stringify(rootOf(house)),
    attest: attestation => bundleOf(house, attestation, attestation.signedAt ?? now()),
  }
}

async function openLog(): Promise<Log> {
  const keys = await makeKeys()
  return { keys, key: createPrivateKey(keys.pem), id: sha256(spkiOf(keys)) }
}

function rootOf({ ca, ctLog, rekor, tsa, tsaRoot, since }: House) {
  const validFor = { start: new Date(since).toISOString() }
  const log = ({ keys, id }: Log, host: string) => ({
    ...{ baseUrl: `https://${host}`, hashAlgorithm: 'SHA2_256' },
    publicKey: { rawBytes: base64(spkiOf(keys)), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
    logId: { keyId: base64(id) },
  })
  const authority = (host: string, ...chain: readonly Certified[]) => ({
    ...{ subject: { organization: 'fake', commonName: host }, uri: `https://${host}`, validFor },
    certChain: { certificates: chain.map(({ der }) => ({ rawBytes: base64(der) })) },
  })
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [log(rekor, 'rekor.fake.test')],
    certificateAuthorities: [authority('fulcio.fake.test', ca)],
    ctlogs: [log(ctLog, 'ct.fake.test')],
    timestampAuthorities: [authority('tsa.fake.test', tsa, tsaRoot)],
  }
}

async function bundleOf(house: House, attestation: Attestation, at: number) {
  const { image, payloadType = 'application/vnd.in-toto+json' } = attestation
  const [algorithm = '', digest] = image.split(':')
  const payload = Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'ghcr.io/acme/agent', digest: { [algorithm]: digest } }],
      predicateType: PROVENANCE,
      predicate: {
        buildDefinition: {},
        runDetails: { builder: { id: 'https://github.com/actions/runner' } },
      },
      ...attestation.statement,
    }),
  )
  const leaf = await certify(house, attestation, at)
  const signature = sign('sha256', preAuthentication(payloadType, payload), createPrivateKey(leaf.keys.pem))
  const { logEntries = 1, timestamps = 0 } = attestation
  const token = timestampToken({ tsa: house.tsa, over: signature, at })
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: base64(leaf.der) },
      tlogEntries: logEntries === 0 ? [] : [entryOf(house.rekor, { payload, signature, leaf }, at)],
      timestampVerificationData: {
        rfc3161Timestamps: timestamps === 0 ? [] : [{ signedTimestamp: base64(token) }],
      },
    },
    dsseEnvelope: {
      payload: base64(payload),
      payloadType,
      signatures: [{ sig: base64(signature), keyid: '' }],
    },
  }
}

/** Twice: what a certificate transparency log promises is of the certificate without that promise in it. */
async function certify({ ca, ctLog }: House, attestation: Attestation, at: number): Promise<Certified> {
  const said = Object.entries({ ...JOB, ...attestation.said }).filter(([, text]) => text !== undefined)
  const san = attestation.san ?? attestation.said?.[9] ?? JOB[9]!
  const request = {
    ...{ name: '', keys: await makeKeys(), issuer: ca },
    ...{ notBefore: at - MINUTE_MS, notAfter: at + (attestation.certificateMs ?? 10 * MINUTE_MS) },
    serial: '2a0102030405',
    extensions: [
      ...(attestation.authority ? [extension.basic(true)] : []),
      ...[extension.usage(USES.digitalSignature), extension.purposes('1.3.6.1.5.5.7.3.3')],
      extension.names([{ type: 'url', value: san }], true),
      ...said.map(([number, text]) => extension.other(`${FULCIO}.${number}`, false, utf8(text ?? ''))),
    ],
  }
  if (attestation.certificateLogs === 0) return makeCertificate(request)
  const before = await makeCertificate(request)
  const promise = extension.other(SCT_LIST, false, sctList(ctLog, { ca, tbs: tbsOf(before.der), at }))
  return makeCertificate({ ...request, extensions: [...request.extensions, promise] })
}

/** RFC 6962 sections 3.2 and 3.3: one SCT of a precertificate, in a list, in an OCTET STRING. */
function sctList({ key, id }: Log, { ca, tbs, at }: { ca: Certified; tbs: Uint8Array; at: number }) {
  const time = Buffer.alloc(8)
  time.writeBigInt64BE(BigInt(at))
  const issuer = sha256(spkiOf(ca.keys))
  const length = Buffer.from([0, (tbs.length >> 8) & 0xff, tbs.length & 0xff])
  const signed = Buffer.concat([
    Buffer.from([0, 0]),
    time,
    Buffer.from([0, 1]),
    issuer,
    length,
    tbs,
    Buffer.alloc(2),
  ])
  const signature = sign('sha256', signed, key)
  const head = Buffer.concat([Buffer.from([0]), id, time, Buffer.alloc(2), Buffer.from([4, 3])])
  const sct = Buffer.concat([head, uint16(signature.length), signature])
  const list = Buffer.concat([uint16(sct.length + 2), uint16(sct.length), sct])
  return new Uint8Array(Buffer.concat([Buffer.from([0x04, list.length]), list]))
}

/** Rekor's `dsse` entry 0.0.1, with its promise and with the proof that it is in a tree of one leaf. */
function entryOf(
  { key, id }: Log,
  { payload, signature, leaf }: { payload: Buffer; signature: Buffer; leaf: Certified },
  at: number,
) {
  const body = JSON.stringify({
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      payloadHash: { algorithm: 'sha256', value: sha256(payload).toString('hex') },
      signatures: [{ signature: base64(signature), verifier: base64(Buffer.from(leaf.der)) }],
    },
  })
  const canonicalizedBody = base64(Buffer.from(body))
  const integratedTime = Math.floor(at / 1000)
  const promised = JSON.stringify({
    body: canonicalizedBody,
    integratedTime,
    logID: id.toString('hex'),
    logIndex: 7,
  })
  const rootHash = base64(sha256(Buffer.concat([Buffer.from([0]), Buffer.from(body)])))
  const note = `rekor.fake.test\n1\n${rootHash}\n`
  const noted = base64(Buffer.concat([id.subarray(0, 4), sign('sha256', Buffer.from(note), key)]))
  return {
    ...{ logIndex: '7', logId: { keyId: base64(id) }, kindVersion: { kind: 'dsse', version: '0.0.1' } },
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp: base64(sign('sha256', Buffer.from(promised), key)) },
    inclusionProof: {
      ...{ logIndex: '0', rootHash, treeSize: '1', hashes: [] },
      checkpoint: { envelope: `${note}\n\u2014 rekor.fake.test ${noted}\n` },
    },
    canonicalizedBody,
  }
}

function preAuthentication(type: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload])
}

function tbsOf(certificate: Uint8Array): Uint8Array {
  const [tbs] = sequence(certificate)
  return tbs!
}

function spkiOf({ pem }: Keys): Buffer {
  return createPublicKey(createPrivateKey(pem)).export({ format: 'der', type: 'spki' })
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
