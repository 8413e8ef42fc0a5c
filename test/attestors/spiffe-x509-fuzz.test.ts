/** Chains that were changed: never a throw, and never an acceptance that OpenSSL and the plain rules refuse. */
import { createPublicKey, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { spiffeX509 } from '../../attestors/spiffe-x509.ts'
import { createSpiffeX509Authority } from '../fakes/identity/spiffe-x509-authority.ts'
import { NOON, open } from './issuer-subject.ts'

/** `FUZZ_RUNS=1000000` by hand. */
const RUNS = Number(process.env.FUZZ_RUNS ?? (process.env.CI === undefined ? 2_000 : 10_000))

const now = () => NOON
const authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now })
const middle = await authority.authority({ name: 'CN=middle', issuer: authority.root })
const other = await authority.authority({ name: 'CN=other' })
const WORKLOAD = 'spiffe://acme.test/agent/coder'
const good = await authority.issue('/agent/coder')
const nested = await authority.issue('/agent/coder', { issuer: middle, below: [middle.der] })
const foreign = await authority.issue('/agent/coder', { issuer: other, below: [other.der] })
const attestor = open(
  spiffeX509,
  { trust_domain: 'acme.test', bundle_file: 'bundle.json' },
  { now, readFile: async () => authority.bundle() },
)
const rootKey = createPublicKey(
  new X509Certificate(authority.root.der).publicKey.export({ type: 'spki', format: 'pem' }),
)

type Change =
  | { how: 'flip'; at: number; bit: number }
  | { how: 'cut'; at: number; length: number }
  | { how: 'insert'; at: number; bytes: Uint8Array }
  | { how: 'copy'; from: number; at: number; length: number }

const place = fc.integer({ min: 0, max: 1_000 })
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ how: fc.constant('flip' as const), at: place, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ how: fc.constant('cut' as const), at: place, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    ...{ how: fc.constant('insert' as const), at: place },
    bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
  }),
  fc.record({
    ...{ how: fc.constant('copy' as const), from: place, at: place },
    length: fc.integer({ min: 1, max: 60 }),
  }),
)

function changed(der: Uint8Array, { how, ...rest }: Change): Uint8Array {
  const bytes = Buffer.from(der)
  const at = ('at' in rest ? rest.at : 0) % bytes.length
  const splice = (skip: number, put: Uint8Array) =>
    Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + skip))])
  if (how === 'flip' && 'bit' in rest) {
    bytes[at]! ^= 1 << rest.bit
    return bytes
  }
  if (how === 'insert' && 'bytes' in rest) return splice(0, rest.bytes)
  if (how === 'copy' && 'from' in rest) {
    const from = rest.from % bytes.length
    return splice(rest.length, bytes.subarray(from, from + rest.length))
  }
  return splice('length' in rest ? rest.length : 0, Buffer.alloc(0))
}

/** What OpenSSL makes of it: signed by the root, or by the middle that the root signed, and this very workload. */
function isSound(chain: readonly Uint8Array[]): boolean {
  const [leaf, ...others] = chain.map(der => new X509Certificate(der))
  if (leaf === undefined || leaf.subjectAltName !== `URI:${WORKLOAD}` || leaf.ca) return false
  if (leaf.verify(rootKey)) return true
  return others.some(one => one.ca && one.verify(rootKey) && leaf.verify(one.publicKey))
}

const chains = fc.record({
  of: fc.constantFrom(good.chain, nested.chain, foreign.chain, [...nested.chain].reverse()),
  changes: fc.array(fc.tuple(fc.nat(3), change), { maxLength: 3 }),
})

test('a chain that was changed is a verdict, and accepted only where it is sound', async () => {
  const seen = { accepted: 0, all: 0 }
  await fc.assert(
    fc.asyncProperty(chains, async ({ of, changes }) => {
      const chain = [...of]
      for (const [index, one] of changes) {
        const which = index % chain.length
        chain[which] = changed(chain[which]!, one)
      }
      const evidence = { type: 'certificates', chain } as const
      const routed = attestor.recognises(evidence)
      const verdict = await attestor.attest(evidence)
      seen.all += 1
      if (!verdict.ok) return
      seen.accepted += 1
      expect(routed).toBe(true)
      expect(verdict.proof.subject).toBe(WORKLOAD)
      expect(isSound(chain)).toBe(true)
    }),
    { numRuns: RUNS },
  )
  expect(seen.accepted / seen.all).toBeGreaterThan(0.05)
}, 3_600_000)

test('each single bit of a leaf that is changed is refused', async () => {
  const [leaf] = good.chain
  for (let at = 0; at < leaf!.length; at += 1) {
    const bytes = Buffer.from(leaf!)
    bytes[at]! ^= 1 << (at % 8)
    expect(await attestor.attest({ type: 'certificates', chain: [bytes] })).toMatchObject({ ok: false })
  }
})

test('bytes of nothing are refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), async chain => {
      const evidence = { type: 'certificates', chain } as const
      expect(attestor.recognises(evidence)).toBe(false)
      expect(await attestor.attest(evidence)).toMatchObject({ ok: false })
    }),
    { numRuns: 500 },
  )
})
