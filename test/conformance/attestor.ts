/**
 * What every attestor must hold, as a suite. A plugin's test makes a {@link AttestorSubject} and calls
 * {@link describeAttestor}; the types ask it for a sample of every rejection, or a reason why there can be
 * none, so that a new rejection stops the test of every attestor from compiling until it has answered.
 */
import { afterEach, describe, test } from 'vitest'
import {
  AttestationUnavailable,
  type Attestor,
  type Evidence,
  type Proof,
  REJECTIONS,
  type Rejection,
  type Verdict,
} from '../../attestors/attestor.ts'
import { spellingsOf } from '../fakes/identity/spellings.ts'
import { check, checkEqual, holdsEvidence, textOf } from './attestor-assertions.ts'

export type Sample = (() => Promise<Evidence>) | { impossible: string }

export type AttestorSubject = {
  /** A new attestor on a trust root that answers. */
  open(): Attestor
  /** A new attestor whose trust root cannot be reached or read. */
  openUnreachable(): Attestor
  /** Evidence that `open()` accepts now, another one each time. */
  acceptable(): Promise<Evidence>
  /** Sound evidence of a trust root that is not this attestor's. */
  foreign(): Promise<Evidence>
  samples: Readonly<Record<Rejection, Sample>>
  /** How often attestors of this subject have looked outside so far: fetches, file reads. */
  outsideCalls(): number
  /** Epoch milliseconds on the clock that the attestors were given. */
  now(): number
  /** Moves that clock. */
  advance(ms: number): void
  close(): Promise<void>
}

export type AttestorCheck = { name: string; run(subject: AttestorSubject): Promise<void> }

/** Registers every check as one Vitest test, each with a subject of its own. */
export function describeAttestor(name: string, make: () => Promise<AttestorSubject>): void {
  describe(`${name} conforms`, () => {
    let subject: AttestorSubject | undefined
    afterEach(async () => {
      await subject?.close()
      subject = undefined
    })
    for (const { name: title, run } of attestorChecks) {
      test(title, async () => {
        subject = await make()
        await run(subject)
      })
    }
  })
}

const rejectionChecks: readonly AttestorCheck[] = REJECTIONS.map(rejection => ({
  name: `rejects as ${rejection}`,
  async run(subject) {
    const sample = subject.samples[rejection]
    if (typeof sample !== 'function') {
      return check(sample.impossible.length >= 10, 'impossible needs a reason that can be read')
    }
    const attestor = subject.open()
    // The same attestor accepts: what follows is refused for what is in the sample.
    await prove(attestor, await subject.acceptable())
    const verdict = await attestor.attest(await sample())
    checkEqual(verdict.ok ? 'accepted' : verdict.rejection, rejection, 'the rejection')
  },
}))

/** As plain functions, so that a test can show that each one fails where it should. */
export const attestorChecks: readonly AttestorCheck[] = [
  {
    name: 'opens without looking outside',
    async run(subject) {
      subject.open()
      subject.openUnreachable()
      checkEqual(subject.outsideCalls(), 0, 'calls')
    },
  },
  {
    name: 'proves acceptable evidence, with typed claims',
    async run(subject) {
      const proof = await prove(subject.open(), await subject.acceptable())
      check(proof.issuer !== '' && proof.subject !== '', 'issuer and subject are not empty')
      for (const [name, value] of Object.entries(proof.claims)) check(isClaimValue(value), `claim ${name}`)
      for (const name of proof.mustName ?? []) check(name !== '', 'mustName names claims')
    },
  },
  {
    name: 'puts no evidence into the proof',
    async run(subject) {
      const evidence = await subject.acceptable()
      const { replay, ...proof } = await prove(subject.open(), evidence)
      check(!JSON.stringify({ ...proof, replay }).includes(textOf(evidence)), 'the proof holds no token')
      check(!segmentsOf(evidence).some(part => replay.id.includes(part)), 'the replay id holds no segment')
    },
  },
  {
    name: 'recognises its own trust root only, and throws at nothing',
    async run(subject) {
      const attestor = subject.open()
      check(attestor.recognises(await subject.acceptable()), 'recognises acceptable evidence')
      check(!attestor.recognises(await subject.foreign()), 'does not recognise foreign evidence')
      for (const evidence of GARBAGE) check(!attestor.recognises(evidence), 'does not recognise garbage')
      checkEqual(subject.outsideCalls(), 0, 'calls while routing')
    },
  },
  ...rejectionChecks,
  {
    name: 'rejects garbage as a value',
    async run(subject) {
      const attestor = subject.open()
      for (const evidence of GARBAGE) check(!(await attestor.attest(evidence)).ok, 'garbage is rejected')
    },
  },
  {
    name: 'keeps the evidence out of every detail',
    async run(subject) {
      const attestor = subject.open()
      for (const evidence of await allSamples(subject)) {
        const verdict = await attestor.attest(evidence)
        check(verdict.ok || !holdsEvidence(verdict.detail, evidence), 'a detail holds no evidence')
      }
    },
  },
  {
    name: 'looks nowhere for evidence of another trust root',
    async run(subject) {
      const attestor = subject.open()
      for (const evidence of [await subject.foreign(), ...GARBAGE]) await attestor.attest(evidence)
      checkEqual(subject.outsideCalls(), 0, 'calls')
    },
  },
  {
    name: 'throws AttestationUnavailable when it cannot check',
    async run(subject) {
      const evidence = await subject.acceptable()
      const attempt = await outcome(subject.openUnreachable(), evidence)
      check('error' in attempt, 'an outage is not a verdict')
      const { error } = attempt as { error: unknown }
      check(error instanceof AttestationUnavailable, 'the error is an AttestationUnavailable')
      check(!holdsEvidence((error as Error).message, evidence), 'its message holds no evidence')
    },
  },
  {
    name: 'rejects what is bad on its face during an outage too',
    async run(subject) {
      const attestor = subject.openUnreachable()
      for (const evidence of [await subject.foreign(), ...GARBAGE]) {
        const attempt = await outcome(attestor, evidence)
        check('verdict' in attempt && !attempt.verdict.ok, 'bad evidence is a rejection, not an outage')
      }
    },
  },
  {
    name: 'names one use of one evidence, and another of another',
    async run(subject) {
      const attestor = subject.open()
      const [first, second] = [await subject.acceptable(), await subject.acceptable()]
      const id = (await prove(attestor, first)).replay.id
      checkEqual((await prove(attestor, first)).replay.id, id, 'the replay id of the same evidence')
      checkEqual((await prove(subject.open(), first)).replay.id, id, 'the replay id at another broker')
      check((await prove(attestor, second)).replay.id !== id, 'other evidence has another replay id')
    },
  },
  {
    name: 'gives every spelling of one evidence one replay id, or refuses it',
    async run(subject) {
      const attestor = subject.open()
      const evidence = await subject.acceptable()
      const { id } = (await prove(attestor, evidence)).replay
      // A certificate has one spelling: its bytes.
      for (const token of evidence.type === 'jwt' ? spellingsOf(evidence.token) : []) {
        const verdict = await attestor.attest({ type: 'jwt', token })
        if (verdict.ok) checkEqual(verdict.proof.replay.id, id, 'the replay id of another spelling')
      }
    },
  },
  {
    name: 'does not accept evidence from `until` on',
    async run(subject) {
      const attestor = subject.open()
      const evidence = await subject.acceptable()
      const { until } = (await prove(attestor, evidence)).replay
      check(Number.isSafeInteger(until) && until > subject.now(), '`until` is ahead')
      subject.advance(until - subject.now())
      check(!(await attestor.attest(evidence)).ok, 'the evidence is expired at `until`')
    },
  },
  {
    name: 'answers the same to many at once',
    async run(subject) {
      const attestor = subject.open()
      const evidence = await subject.acceptable()
      const proofs = await Promise.all(Array.from({ length: 20 }, () => prove(attestor, evidence)))
      for (const proof of proofs) checkEqual(JSON.stringify(proof), JSON.stringify(proofs[0]), 'the proof')
    },
  },
]

const NESTED = Buffer.from(`${'['.repeat(4000)}${']'.repeat(4000)}`).toString('base64url')
const GARBAGE_TOKENS = [
  ...['', '.', '..', 'a.b.c', 'e30.e30.e30', 'e30.e30.', `e30.${NESTED}.e30`, 'bnVsbA.bnVsbA.bnVsbA'],
  ...['\u0000.\u0000.\u0000', '𝕫𝕫.𝕫𝕫.𝕫𝕫', `${'A'.repeat(1_000_000)}.e30.e30`, 'eyJhIjoxLCJhIjoyfQ.e30.e30'],
]
const GARBAGE: readonly Evidence[] = [
  ...GARBAGE_TOKENS.map(token => ({ type: 'jwt', token }) as const),
  ...[[], [new Uint8Array()], [new Uint8Array(64)], [Buffer.from('MAA=', 'base64')]].map(
    chain => ({ type: 'certificates', chain }) as const,
  ),
  ...[
    {},
    { mediaType: 7, verificationMaterial: null, dsseEnvelope: [] },
    {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { certificate: { rawBytes: 'MAA=' }, tlogEntries: [] },
      dsseEnvelope: {
        payload: 'e30=',
        payloadType: 'application/vnd.in-toto+json',
        signatures: [{ sig: 'AA==' }],
      },
    },
  ].map(bundle => ({ type: 'sigstore', bundle }) as const),
]

async function prove(attestor: Attestor, evidence: Evidence): Promise<Proof> {
  const verdict = await attestor.attest(evidence)
  if (verdict.ok) return verdict.proof
  throw new Error(`acceptable evidence was refused as ${verdict.rejection}: ${verdict.detail}`)
}

async function outcome(
  attestor: Attestor,
  evidence: Evidence,
): Promise<{ verdict: Verdict } | { error: unknown }> {
  try {
    return { verdict: await attestor.attest(evidence) }
  } catch (error) {
    return { error }
  }
}

async function allSamples(subject: AttestorSubject): Promise<Evidence[]> {
  const makers = Object.values(subject.samples).filter(sample => typeof sample === 'function')
  return [...(await Promise.all(makers.map(make => make()))), ...GARBAGE]
}

function segmentsOf(evidence: Evidence): string[] {
  return textOf(evidence)
    .split('.')
    .filter(part => part.length >= 16)
}

function isClaimValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(entry => typeof entry === 'string')
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value === 'string' || typeof value === 'boolean'
}
