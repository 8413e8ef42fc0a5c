/** Bundles that were changed: never a throw, and never a word that the signer did not say. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { slsaProvenance } from '../../attestors/slsa-provenance.ts'
import { createSigstore, WORKFLOW } from '../fakes/identity/sigstore.ts'
import { NOON, open } from './issuer-subject.ts'

/** Each is a signature, a certificate, a log entry and a timestamp to look at. */
const RUNS = Math.ceil(Number(process.env.MAYFLY_FUZZ_CASES ?? 400) / 10)

const IMAGE = `sha256:${'a1'.repeat(32)}`
const now = () => NOON
const [ours, theirs] = await Promise.all([createSigstore(now), createSigstore(now)])
const [good, other, foreign] = await Promise.all([
  ours.attest({ image: IMAGE }),
  ours.attest({ image: `sha256:${'b2'.repeat(32)}`, said: { 15: '12' } }),
  theirs.attest({ image: IMAGE }),
])
const attestor = open(
  slsaProvenance,
  {
    ...{ trusted_root_file: 'root.json', repository_id: '11', workflows: [WORKFLOW] },
    digest_claim: 'sandbox.image_digest',
  },
  { now, readFile: async () => ours.trustedRoot() },
)

type Json = Record<string, unknown>
/** Every place in a bundle, outermost first. */
function placesIn(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return [path, ...inner.flatMap(([name, one]) => placesIn(one, [...path, name]))]
}
const places = placesIn(good).slice(1)

/** Puts something where something was; undefined takes it out. */
function put(bundle: Json, path: readonly string[], make: (before: unknown) => unknown): void {
  const holder = path
    .slice(0, -1)
    .reduce<Json | undefined>((at, name) => at?.[name] as Json | undefined, bundle)
  const last = path.at(-1)
  if (typeof holder !== 'object' || holder === null || last === undefined || !Object.hasOwn(holder, last))
    return
  const value = make(holder[last])
  if (value === undefined) delete holder[last]
  else holder[last] = value
}

function flipped(before: unknown, at: number, bit: number): unknown {
  if (typeof before !== 'string' || before === '') return before
  const bytes = Buffer.from(before, 'base64')
  if (bytes.length === 0) return before
  bytes[at % bytes.length]! ^= 1 << bit
  return bytes.toString('base64')
}

const at = (bundle: Json, path: readonly string[]) =>
  path.reduce<unknown>((value, name) => (value as Json | undefined)?.[name], bundle)

const change = fc.oneof(
  fc.record({
    path: fc.constantFrom(...places),
    value: fc.oneof(fc.json({ maxDepth: 2 }), fc.constant(undefined)),
  }),
  fc.record({ path: fc.constantFrom(...places), byte: fc.nat(2_000), bit: fc.nat(7) }),
  // Parts of a sound bundle of somebody else, or of another image.
  fc.record({ path: fc.constantFrom(...places), from: fc.constantFrom(other, foreign) }),
  fc.record({ add: fc.string({ minLength: 1, maxLength: 12 }) }),
)

test('what is accepted says what was signed, and of whom', async () => {
  const seen = { accepted: 0, all: 0 }
  const wanted = await attestor.attest({ type: 'sigstore', bundle: good })
  if (!wanted.ok) throw new Error(wanted.detail)
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 2 }), async changes => {
      const bundle = structuredClone(good) as Json
      for (const one of changes) {
        if ('add' in one) bundle[`x-${one.add}`] = one.add
        else if ('from' in one) put(bundle, one.path, () => structuredClone(at(one.from as Json, one.path)))
        else if ('byte' in one) put(bundle, one.path, before => flipped(before, one.byte, one.bit))
        else put(bundle, one.path, () => (one.value === undefined ? undefined : JSON.parse(one.value)))
      }
      const evidence = { type: 'sigstore', bundle } as const
      attestor.recognises(evidence)
      const verdict = await attestor.attest(evidence)
      seen.all += 1
      if (!verdict.ok) return
      seen.accepted += 1
      const { claims, about, subject } = verdict.proof
      expect({ claims, about, subject }).toEqual({
        ...{ claims: wanted.proof.claims, about: wanted.proof.about, subject: wanted.proof.subject },
      })
    }),
    { numRuns: RUNS },
  )
  expect(seen.accepted / seen.all).toBeGreaterThan(0.05)
}, 3_600_000)
