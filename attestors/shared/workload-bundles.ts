/**
 * The bundle of one trust domain as the SPIFFE Workload API gives it, the agent's own domain or one that it
 * federates with: the entry of that domain's name and no other.
 *
 * A domain that a message does not name was taken back (Workload API section 4.4): nothing of it is believed. CRLs
 * are not looked at.
 */
import type { AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { refuse } from './checked.ts'
import { type KeySet, readKeySet } from './key-set.ts'
import { type Bundle, type BundleSource, bundleSource } from './spiffe-bundle.ts'
import { parseStrictJsonObject } from './strict-json.ts'
import { createFeed, type Feed } from './workload-feed.ts'

type Entry = { bytes: Uint8Array | undefined; bundle: Bundle }

export function createWorkloadBundles(
  { socket, trustDomain }: { socket: string; trustDomain: string },
  algorithms: readonly Algorithm[],
  deps: Pick<AttestorDeps, 'now' | 'schedule' | 'jitter'>,
): BundleSource {
  const reading = (parse: (bytes: Uint8Array) => Bundle) => (message: unknown, before: Entry | undefined) =>
    readEntry(message, `spiffe://${trustDomain}`, before, parse)
  const tokens = createFeed({ socket, method: 'FetchJWTBundles' }, reading(jwtBundle(algorithms)), deps)
  const certificates = createFeed({ socket, method: 'FetchX509Bundles' }, reading(x509Bundle), deps)
  const ofTokens = bundleSource(stateOf(tokens))
  const ofCertificates = bundleSource(stateOf(certificates))
  return {
    keys: {
      async find(header) {
        const picked = await ofTokens.keys.find(header)
        const { value } = await tokens.look()
        return picked.ok || value === undefined || value.bytes !== undefined
          ? picked
          : refuse('issuer_not_trusted', 'the Workload API has no bundle of this trust domain')
      },
      ...(ofTokens.keys.status && { status: ofTokens.keys.status }),
    },
    authorities: ofCertificates.authorities,
    doubt: () => ofTokens.doubt() ?? ofCertificates.doubt(),
    close() {
      tokens.close()
      certificates.close()
    },
  }
}

function stateOf(feed: Feed<Entry>) {
  return async () => {
    const { value, failure } = await feed.look()
    return { bundle: value?.bundle, failure, from: 'the Workload API' }
  }
}

/** @throws Error where the message has to be discarded (Workload API section 4.5) */
function readEntry(
  message: unknown,
  name: string,
  before: Entry | undefined,
  parse: (bytes: Uint8Array) => Bundle,
): Entry {
  const bundles = (message as { bundles?: Readonly<Record<string, unknown>> }).bundles ?? {}
  if (Object.keys(bundles).length === 0) throw new Error('the Workload API sent a message without a bundle')
  const bytes = Object.hasOwn(bundles, name) ? bundles[name] : undefined
  if (!(bytes instanceof Uint8Array)) return { bytes: undefined, bundle: EMPTY }
  // Every change of any domain is a message; who keeps what was made of a bundle goes by its identity.
  if (before?.bytes !== undefined && Buffer.compare(before.bytes, bytes) === 0) return before
  return { bytes, bundle: parse(bytes) }
}

const NO_KEYS: KeySet = { usable: [], unusable: [] }
const EMPTY: Bundle = { keys: NO_KEYS, authorities: [], sequence: undefined, refreshHintS: undefined }

/** A plain JWKS (section 6.2.2): SPIRE leaves `use` and `spiffe_sequence` out, and the server keeps other uses out. */
function jwtBundle(algorithms: readonly Algorithm[]) {
  const rules = { algorithms, use: { value: 'jwt-svid', mayBeAbsent: true } }
  return (bytes: Uint8Array): Bundle => ({ ...EMPTY, keys: readKeySet(parseStrictJsonObject(bytes), rules) })
}

function x509Bundle(bytes: Uint8Array): Bundle {
  return { ...EMPTY, authorities: splitDer(bytes) }
}

const SEQUENCE = 0x30
const MAX_AUTHORITIES = 256

/**
 * Certificates in DER, one after another, as separate arrays; only their outermost length is read.
 *
 * @throws Error where they are anything else
 */
export function splitDer(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + derLength(bytes, at)
    if (bytes[at] !== SEQUENCE || !(end <= bytes.length) || parts.length === MAX_AUTHORITIES)
      throw new Error('the Workload API sent certificates that are none')
    parts.push(new Uint8Array(bytes.subarray(at, end)))
    at = end
  }
  return parts
}

/** Of the whole element, tag and length included; NaN where it is no definite length of at most three bytes. */
function derLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1] ?? Number.NaN
  if (first < 0x80) return 2 + first
  const count = first - 0x80
  if (!(count >= 1 && count <= 3)) return Number.NaN
  const content = bytes.subarray(at + 2, at + 2 + count)
  return content.length < count ? Number.NaN : 2 + count + content.reduce((sum, byte) => sum * 256 + byte, 0)
}
