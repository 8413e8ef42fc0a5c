/** What attesting costs beside the signature alone: the same tokens, the same key, the same library, in turn. */
import { createPublicKey, verify, X509Certificate } from 'node:crypto'
import { compactVerify } from 'jose'
import type { Attestor, AttestorDeps, AttestorType, Evidence } from '../attestors/attestor.ts'
import { slsaProvenance } from '../attestors/slsa-provenance.ts'
import { spiffeX509 } from '../attestors/spiffe-x509.ts'
import { FUZZ_SUBJECTS, type FuzzSubject, ISSUER } from '../test/attestors/fuzz-subjects.ts'
import { createForger } from '../test/fakes/identity/forger.ts'
import { createSigstore, WORKFLOW } from '../test/fakes/identity/sigstore.ts'
import { createSpiffeX509Authority } from '../test/fakes/identity/spiffe-x509-authority.ts'
import { median, type Row } from './figures.ts'

export type AttestOptions = {
  /** Odd. */
  rounds: number
  /** Pieces of evidence in a round, each another one. */
  pieces: number
  say: (text: string) => void
}

type Contest = {
  name: string
  evidence: readonly Evidence[]
  attestor: Attestor
  bare: (one: Evidence) => Promise<unknown>
}

const NOON = Date.UTC(2026, 10, 21, 12)
const now = () => NOON

export async function benchAttest({ rounds, pieces, say }: AttestOptions): Promise<Row[]> {
  say(
    `attest: ${rounds} rounds of ${pieces} pieces of evidence, one after the other, and their signatures alone`,
  )
  const rows: Row[] = []
  for (const subject of FUZZ_SUBJECTS) rows.push(await contend(tokensOf(subject, pieces), rounds, say))
  rows.push(await contend(await certificates(pieces), rounds, say))
  rows.push(await contend(await bundles(pieces), rounds, say))
  return rows
}

/** The first round warms up. */
async function contend(
  { name, evidence, attestor, bare }: Contest,
  rounds: number,
  say: AttestOptions['say'],
): Promise<Row> {
  const ratios: number[] = []
  const rates: number[] = []
  for (let round = 0; round <= rounds; round += 1) {
    const whole = await perSecond(evidence, async one => {
      const verdict = await attestor.attest(one)
      if (!verdict.ok) throw new Error(`${name}: ${verdict.rejection}: ${verdict.detail}`)
    })
    const alone = await perSecond(evidence, bare)
    if (round === 0) continue
    ratios.push(whole / alone)
    rates.push(whole)
  }
  const ratio = median(ratios)
  const rate = median(rates)
  say(`attest: ${name}: ${rate.toFixed(0)} attestations/s, ${(rate / ratio).toFixed(0)} signatures/s alone`)
  return { name: `attest/${name}`, ratio, good: 'least' }
}

async function perSecond(
  evidence: readonly Evidence[],
  each: (one: Evidence) => Promise<unknown>,
): Promise<number> {
  const started = performance.now()
  for (const one of evidence) await each(one)
  return (evidence.length * 1_000) / (performance.now() - started)
}

function tokensOf({ type, algorithm, typ, settings, claims }: FuzzSubject, pieces: number): Contest {
  const forger = createForger({ algorithm, kid: 'good' })
  const isSpiffe = type.type === 'spiffe-jwt'
  const keySet = JSON.stringify({
    keys: [{ ...forger.key.publicJwk, use: isSpiffe ? 'jwt-svid' : 'sig' }],
    ...(isSpiffe ? { spiffe_sequence: 1 } : {}),
  })
  const discovery = JSON.stringify({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` })
  const iat = NOON / 1_000
  const times = { iat, nbf: iat, exp: iat + 300 }
  const evidence = Array.from({ length: pieces }, (_, n) => {
    const payload = { iss: ISSUER, aud: 'https://mayfly.test', ...times, jti: `use ${n}`, ...claims }
    return { type: 'jwt', token: forger.token(payload, typ === undefined ? {} : { typ }) } as const
  })
  return {
    ...{ name: type.type, evidence },
    attestor: open(type, settings, {
      fetch: async url => new Response(url.includes('.well-known') ? discovery : keySet),
      readFile: async () => keySet,
    }),
    bare: one =>
      one.type === 'jwt'
        ? compactVerify(one.token, forger.key.publicKey, { algorithms: [algorithm] })
        : Promise.reject(new Error('no token')),
  }
}

/** Beside one signature of the chain: that of the leaf, by an authority that is in the bundle. */
async function certificates(pieces: number): Promise<Contest> {
  const authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now })
  const bundle = authority.bundle()
  const chains = await Promise.all(Array.from({ length: pieces }, (_, n) => authority.issue(`/agent/${n}`)))
  const root = createPublicKey(
    new X509Certificate(authority.root.der).publicKey.export({ type: 'spki', format: 'pem' }),
  )
  return {
    name: 'spiffe-x509',
    evidence: chains.map(({ chain }) => ({ type: 'certificates', chain })),
    attestor: open(
      spiffeX509,
      { trust_domain: 'acme.test', bundle_file: 'bundle' },
      { readFile: async () => bundle },
    ),
    bare: async one => {
      const [leaf] = one.type === 'certificates' ? one.chain : []
      if (leaf === undefined || !new X509Certificate(leaf).verify(root)) throw new Error('not signed')
    },
  }
}

/** Beside one signature of the bundle: that of the statement, by the leaf's key. */
async function bundles(pieces: number): Promise<Contest> {
  const sigstore = await createSigstore(now)
  const evidence: Evidence[] = []
  for (let n = 0; n < pieces; n += 1) {
    const image = `sha256:${n.toString(16).padStart(64, '0')}`
    evidence.push({ type: 'sigstore', bundle: await sigstore.attest({ image }) })
  }
  const pinned = { workflows: [WORKFLOW], digest_claim: 'sandbox.image_digest' }
  return {
    ...{ name: 'slsa-provenance', evidence },
    attestor: open(
      slsaProvenance,
      { trusted_root_file: 'root', ...pinned },
      { readFile: async () => sigstore.trustedRoot() },
    ),
    bare: async one => {
      if (one.type !== 'sigstore' || !isSigned(one.bundle as Envelope)) throw new Error('not signed')
    },
  }
}

/** As much of a Sigstore bundle as one signature takes. */
type Envelope = {
  verificationMaterial: { certificate: { rawBytes: string } }
  dsseEnvelope: { payload: string; payloadType: string; signatures: readonly { sig: string }[] }
}

function isSigned({ verificationMaterial, dsseEnvelope }: Envelope): boolean {
  const { publicKey } = new X509Certificate(fromBase64(verificationMaterial.certificate.rawBytes))
  const { payloadType, signatures } = dsseEnvelope
  const payload = fromBase64(dsseEnvelope.payload)
  // DSSE v1.0, PAE.
  const signed = [`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `, payload]
  const input = Buffer.concat(signed.map(part => Buffer.from(part)))
  return verify('sha256', input, publicKey, fromBase64(signatures[0]?.sig ?? ''))
}

const fromBase64 = (text: string) => Buffer.from(text, 'base64')

function open(type: AttestorType, settings: unknown, lent: Partial<AttestorDeps>): Attestor {
  return type.open(type.settings.parse(settings), {
    now,
    fetch: () => Promise.reject(new Error('nothing is asked here')),
    readFile: () => Promise.reject(new Error('nothing is read here')),
    schedule: () => () => {},
    jitter: () => 0,
    ...lent,
  })
}
