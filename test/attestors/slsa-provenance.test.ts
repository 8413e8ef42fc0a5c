import { beforeAll, describe, expect, test } from 'vitest'
import type { Evidence } from '../../attestors/attestor.ts'
import { slsaProvenance } from '../../attestors/slsa-provenance.ts'
import { type AttestorSubject, describeAttestor } from '../conformance/attestor.ts'
import {
  type Attestation,
  createSigstore,
  PROVENANCE,
  type Sigstore,
  WORKFLOW,
} from '../fakes/identity/sigstore.ts'
import { NOON, open } from './issuer-subject.ts'

const IMAGE = `sha256:${'a1'.repeat(32)}`
const DAY_MS = 86_400_000
const SETTINGS = {
  ...{ trusted_root_file: 'root.json', repository_id: '11', workflows: [WORKFLOW] },
  ...{ runner_environment: 'github-hosted', digest_claim: 'sandbox.image_digest' },
}

let sigstore: Sigstore
let elsewhere: Sigstore
beforeAll(async () => {
  const both = [createSigstore(() => NOON), createSigstore(() => NOON)] as const
  ;[sigstore, elsewhere] = await Promise.all(both)
})

/** A bundle with its parts within reach. */
type Parts = {
  verificationMaterial: {
    certificate?: unknown
    publicKey?: unknown
    tlogEntries: Record<string, unknown>[]
    timestampVerificationData?: { rfc3161Timestamps: unknown[] }
  }
  dsseEnvelope: { payload: string; signatures: { sig: string; keyid: string }[] }
}

const attested = async (over: Partial<Attestation> = {}, by = sigstore): Promise<Evidence> => ({
  type: 'sigstore',
  bundle: await by.attest({ image: IMAGE, ...over }),
})

async function altered(alter: (bundle: Parts) => void, over: Partial<Attestation> = {}): Promise<Evidence> {
  const evidence = await attested(over)
  if (evidence.type === 'sigstore') alter(evidence.bundle as Parts)
  return evidence
}

function attestorFor(over: object = {}, roots = sigstore.trustedRoot()) {
  return open(slsaProvenance, { ...SETTINGS, ...over }, { now: () => NOON, readFile: async () => roots })
}

const tampered = (bundle: Parts) => {
  const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString())
  statement.subject[0].digest.sha256 = 'b2'.repeat(32)
  bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString('base64')
}

function createSubject(): AttestorSubject {
  let nowMs = NOON
  let calls = 0
  let made = 0
  const openFor = (readFile: () => Promise<string>) =>
    open(slsaProvenance, SETTINGS, {
      now: () => nowMs,
      readFile() {
        calls += 1
        return readFile()
      },
    })
  const impossible = (reason: string) => ({ impossible: reason })
  return {
    open: () => openFor(async () => sigstore.trustedRoot()),
    openUnreachable: () => openFor(() => Promise.reject(new Error('no such file'))),
    acceptable() {
      made += 1
      return attested({ image: `sha256:${String(made).padStart(64, '0')}` })
    },
    foreign: () => attested({ said: { 8: 'https://issuer.elsewhere.test' } }),
    samples: {
      malformed: () => altered(bundle => bundle.dsseEnvelope.signatures.push({ sig: 'AAAA', keyid: '' })),
      header_not_allowed: impossible('a bundle has no header that changes what is verified'),
      type_not_allowed: () => attested({ statement: { predicateType: 'https://spdx.dev/Document/v2.3' } }),
      algorithm_not_allowed: impossible('the algorithm is that of the certified key'),
      issuer_not_trusted: () => attested({ said: { 8: 'https://issuer.elsewhere.test' } }),
      key_unknown: () =>
        altered(({ verificationMaterial }) => {
          delete verificationMaterial.certificate
          verificationMaterial.publicKey = { hint: 'mine' }
        }),
      key_not_acceptable: impossible('what an authority certifies is a key that it took'),
      signature_invalid: () => altered(tampered),
      claim_missing: () => attested({ said: { 15: undefined } }),
      claim_malformed: () => attested({ image: 'sha256:ABC' }),
      audience_wrong: impossible('provenance is published for everybody'),
      expired: impossible('it says when it was made, and not until when it counts'),
      not_yet_valid: () => attested({ signedAt: NOON + 61_000 }),
      lifetime_too_long: impossible('it says when it was made, and not until when it counts'),
      too_old: () => attested({ signedAt: NOON - 91 * DAY_MS }),
      subject_not_acceptable: () => attested({ said: { 15: '12' } }),
      certificate_not_acceptable: () => attested({ authority: true }),
      chain_not_trusted: () => attested({}, elsewhere),
      revoked: impossible('nobody is asked about a bundle'),
    },
    outsideCalls: () => calls,
    now: () => nowMs,
    advance(ms) {
      nowMs += ms
    },
    async close() {},
  }
}

describeAttestor('slsa-provenance', async () => createSubject())

test('it proves what was built, by whom, and of which image it speaks', async () => {
  expect(await attestorFor().attest(await attested())).toMatchObject({
    ok: true,
    proof: {
      subject: `${WORKFLOW}@refs/heads/main`,
      claims: {
        ...{ image_digest: IMAGE, repository: 'https://github.com/acme/agent', repository_id: '11' },
        ...{ owner_id: '5001', workflow_ref: `${WORKFLOW}@refs/heads/main`, trigger: 'push' },
        ...{ runner_environment: 'github-hosted', builder_id: 'https://github.com/actions/runner' },
      },
      about: { claim: 'sandbox.image_digest', value: IMAGE },
      replay: { singleUse: false, issuedAt: NOON },
    },
  })
})

describe('whose build it is', () => {
  test.each([
    ['another repository', {}, { said: { 15: '12' } }],
    ['another owner', { owner_id: '5001' }, { said: { 17: '5002' } }],
    ['another workflow', {}, { san: WORKFLOW.replace('release', 'other') }],
    ['a workflow that begins like it', {}, { san: `${WORKFLOW}l@refs/heads/main` }],
    ['another ref', { workflows: [`${WORKFLOW}@refs/heads/main`] }, { san: `${WORKFLOW}@refs/heads/x` }],
    [
      'a ref that begins like it',
      { workflows: [`${WORKFLOW}@refs/heads/main`] },
      { san: `${WORKFLOW}@refs/heads/main2` },
    ],
    ['a runner of their own', {}, { said: { 11: 'self-hosted' } }],
  ])('%s is refused', async (_what, settings, over) => {
    expect(await attestorFor(settings).attest(await attested(over))).toMatchObject({
      rejection: 'subject_not_acceptable',
    })
  })

  test('of two attestors it goes to the one whose pins it has', async () => {
    const evidence = await attested()
    const [ours, theirs] = [attestorFor(), attestorFor({ repository_id: '12' })]
    expect([ours.recognises(evidence), theirs.recognises(evidence)]).toEqual([true, true])
    expect([ours.isFor?.(evidence), theirs.isFor?.(evidence)]).toEqual([true, false])
  })
})

describe('witnesses', () => {
  const none = { log_entries: 0, certificate_logs: 0 }
  test('a timestamp is enough where the settings say so', async () => {
    const evidence = await attested({ logEntries: 0, timestamps: 1, certificateLogs: 0 })
    expect(await attestorFor(none).attest(evidence)).toMatchObject({
      ok: true,
      proof: { replay: { issuedAt: NOON } },
    })
  })

  test.each<[string, object, Partial<Attestation>, string]>([
    ['no log entry', {}, { logEntries: 0, timestamps: 1 }, 'signature_invalid'],
    ['one of two log entries', { log_entries: 2 }, {}, 'signature_invalid'],
    ['no time at all', none, { logEntries: 0 }, 'signature_invalid'],
    ['one of two times', { timestamps: 2 }, {}, 'signature_invalid'],
    ['no certificate log', {}, { certificateLogs: 0 }, 'chain_not_trusted'],
    ['a certificate that had expired', {}, { certificateMs: -1_000 }, 'chain_not_trusted'],
  ])('%s: refused', async (_what, settings, over, rejection) => {
    expect(await attestorFor(settings).attest(await attested(over))).toMatchObject({ rejection })
  })

  test('one log entry given twice counts once', async () => {
    const evidence = await altered(({ verificationMaterial: { tlogEntries } }) =>
      tlogEntries.push(tlogEntries[0]!),
    )
    expect(await attestorFor({ log_entries: 2 }).attest(evidence)).toMatchObject({
      rejection: 'signature_invalid',
    })
  })

  test('a log’s time without its promise is anybody’s', async () => {
    const evidence = await altered(
      ({ verificationMaterial: { tlogEntries } }) => delete tlogEntries[0]!.inclusionPromise,
    )
    expect(await attestorFor().attest(evidence)).toMatchObject({ rejection: 'signature_invalid' })
  })

  test('the log entry of another bundle is none of this one', async () => {
    const other = (await attested({ image: `sha256:${'c3'.repeat(32)}` })) as { bundle: unknown }
    const { tlogEntries } = (other.bundle as Parts).verificationMaterial
    const evidence = await altered(bundle => Object.assign(bundle.verificationMaterial, { tlogEntries }))
    expect(await attestorFor().attest(evidence)).toMatchObject({ rejection: 'signature_invalid' })
  })

  test('a timestamp of another signature is none of this one', async () => {
    const stamped = { logEntries: 0, timestamps: 1, certificateLogs: 0 } as const
    const other = (await attested(stamped)) as { bundle: unknown }
    const { timestampVerificationData } = (other.bundle as Parts).verificationMaterial
    const alter = (bundle: Parts) => Object.assign(bundle.verificationMaterial, { timestampVerificationData })
    expect(await attestorFor(none).attest(await altered(alter, stamped))).toMatchObject({
      rejection: 'signature_invalid',
    })
  })
})

describe('what it says', () => {
  test.each<[string, Partial<Attestation>, string]>([
    ['another predicate', { statement: { predicateType: `${PROVENANCE}x` } }, 'type_not_allowed'],
    [
      'a statement of before v1',
      { statement: { _type: 'https://in-toto.io/Statement/v0.1' } },
      'type_not_allowed',
    ],
    ['something else signed', { payloadType: 'application/json' }, 'type_not_allowed'],
    ['no subject', { statement: { subject: [] } }, 'claim_missing'],
    ['two subjects', { statement: { subject: [{ digest: {} }, { digest: {} }] } }, 'claim_malformed'],
    ['another digest alone', { image: `sha512:${'a1'.repeat(64)}` }, 'claim_missing'],
    ['a digest in capitals', { image: `sha256:${'A1'.repeat(32)}` }, 'claim_malformed'],
    ['no predicate', { statement: { predicate: 'none' } }, 'claim_missing'],
  ])('%s: refused', async (_what, over, rejection) => {
    expect(await attestorFor().attest(await attested(over))).toMatchObject({ rejection })
  })
})

describe('the bundle', () => {
  test('more witnesses than anybody has are not looked at', async () => {
    const evidence = await altered(({ verificationMaterial }) => {
      verificationMaterial.tlogEntries = Array.from({ length: 9 }, () => verificationMaterial.tlogEntries[0]!)
    })
    expect(await attestorFor().attest(evidence)).toMatchObject({ rejection: 'malformed' })
  })

  test('whatever stands in it, it is refused, and nothing is thrown', async () => {
    const text = JSON.stringify(((await attested()) as { bundle: unknown }).bundle)
    const attestor = attestorFor()
    for (let at = 0; at < text.length; at += 97) {
      const bundle = cut(text, at)
      if (bundle === undefined) continue
      const verdict = await attestor.attest({ type: 'sigstore', bundle })
      // What is not signed may change, and mean the same.
      if (verdict.ok) expect(verdict.proof).toMatchObject({ claims: { image_digest: IMAGE } })
    }
  })
})

/** One character is another one. */
function cut(text: string, at: number): Record<string, unknown> | undefined {
  try {
    return JSON.parse(`${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`)
  } catch {
    return undefined
  }
}

describe('the trusted root', () => {
  test('may be one of several, one on each line', async () => {
    const roots = `${elsewhere.trustedRoot()}\n${sigstore.trustedRoot()}\n`
    expect(await attestorFor({}, roots).attest(await attested())).toMatchObject({ ok: true })
  })

  test('may be replaced while it is in use', async () => {
    let roots = elsewhere.trustedRoot()
    const attestor = open(slsaProvenance, SETTINGS, { now: () => NOON, readFile: async () => roots })
    expect(await attestor.attest(await attested())).toMatchObject({ rejection: 'chain_not_trusted' })
    roots = sigstore.trustedRoot()
    expect(await attestor.attest(await attested())).toMatchObject({ ok: true })
  })

  test.each(['', '{}', 'no JSON', '{"certificateAuthorities":[{}]}'])('%j is an outage', async text => {
    await expect(attestorFor({}, text).attest(await attested())).rejects.toThrow('trusted root')
  })
})

test.each([
  ['nobody whose builds are taken', { repository_id: undefined, workflows: undefined }, /whose builds/],
  ['a name for an id', { repository_id: 'acme/agent' }, /number/],
  ['no time of signing', { timestamps: 0 }, />=1/],
])('settings with %s are not accepted', (_what, over, why) => {
  const parsed = slsaProvenance.settings.safeParse({ ...SETTINGS, ...over })
  expect(JSON.stringify(parsed.error?.issues ?? 'accepted')).toMatch(why)
})
