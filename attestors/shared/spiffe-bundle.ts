/**
 * SPIFFE trust bundles (SPIFFE Trust Domain and Bundle section 4): what one document says, and where attestors get
 * the current one from. A bundle is of one trust domain alone; bundles are never merged.
 */
import { AttestationUnavailable } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import {
  type KeySet,
  type KeySource,
  type KeySourceStatus,
  MAX_KEYS,
  pickKey,
  readKeySet,
} from './key-set.ts'
import { isJsonObject, type JsonObject, member, parseStrictJsonObject } from './strict-json.ts'

/** The bundle of one trust domain, wherever it comes from. Nothing in it: everything is revoked. */
export type BundleSource = {
  /** Keys of use `jwt-svid`. */
  keys: KeySource
  /**
   * Certificates of use `x509-svid`, DER, as they are published: nobody has looked at them. The same array until the
   * bundle changes.
   *
   * @throws AttestationUnavailable where there is no bundle to use
   */
  authorities(): Promise<readonly Uint8Array[]>
  /**
   * Why there is no newer bundle than the one in use, as a throw waiting to happen: what this one does not vouch
   * for, the newer one might.
   */
  doubt(): AttestationUnavailable | undefined
  /** Stops what goes on in the background. */
  close?(): void
}

export type Bundle = {
  /** For JWT-SVIDs. */
  keys: KeySet
  /** For X.509-SVIDs: DER. */
  authorities: readonly Uint8Array[]
  sequence: bigint | undefined
  /** Seconds; how often the publisher wants to be asked. */
  refreshHintS: number | undefined
}

/** What a source knows at one moment: the last good bundle, where it may still be used, and what is wrong now. */
export type BundleState = {
  bundle: Bundle | undefined
  failure: string | undefined
  /** Where it comes from, and when it was last seen to be good, epoch ms: for whoever asks what is wrong. */
  from?: string
  readAtMs?: number
}

/** @param look brings the state up to date first where that is due; it does not throw. */
export function bundleSource(look: () => Promise<BundleState>, close?: () => void): BundleSource {
  let state: BundleState = { bundle: undefined, failure: undefined }
  const current = async (): Promise<Bundle> => {
    state = await look()
    if (state.bundle === undefined) throw unavailable(state.failure)
    return state.bundle
  }
  const doubt = () => (state.failure === undefined ? undefined : unavailable(state.failure))
  return {
    keys: {
      async find(header) {
        const picked = pickKey((await current()).keys, header)
        // The key may be in the newer bundle that we could not take: that is not the caller's fault.
        if (!picked.ok && picked.rejection === 'key_unknown') {
          const unsure = doubt()
          if (unsure !== undefined) throw unsure
        }
        return picked
      },
      status: () => statusOf(state),
    },
    authorities: async () => (await current()).authorities,
    doubt,
    ...(close && { close }),
  }
}

function statusOf({ bundle, failure, from = 'the trust bundle', readAtMs }: BundleState): KeySourceStatus {
  const read = bundle === undefined || readAtMs === undefined ? {} : { readAtMs }
  const trouble = failure === undefined ? {} : { failure }
  return { from, keys: bundle?.keys.usable.length ?? 0, ...read, ...trouble }
}

const MAX_BUNDLE_CHARACTERS = 1024 * 1024
const SEQUENCE_LIMIT = 2n ** 64n

/**
 * @param text the document, JSON
 * @param previous the bundle in use
 * @throws Error when it is no bundle, or not a newer one than `previous`
 */
export function readBundle(
  text: string,
  algorithms: readonly Algorithm[],
  previous: Pick<Bundle, 'sequence'> | undefined,
): Bundle {
  if (text.length > MAX_BUNDLE_CHARACTERS) throw new Error('the bundle is too large')
  const document = parseStrictJsonObject(text)
  const sequence = readSequence(document)
  if (previous?.sequence !== undefined && (sequence === undefined || sequence < previous.sequence)) {
    throw new Error('spiffe_sequence went back')
  }
  return {
    // `use` is mandatory in a bundle, and keys of another use, X.509 roots say, are not for tokens.
    keys: readKeySet(document, { algorithms, use: { value: 'jwt-svid', mayBeAbsent: false } }),
    authorities: readAuthorities(document),
    sequence,
    refreshHintS: readRefreshHint(document),
  }
}

/** One certificate for each key, the first of its `x5c` (X.509-SVID section 6.2). A key without one is left out. */
function readAuthorities(document: JsonObject): readonly Uint8Array[] {
  const keys = member(document, 'keys')
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) return []
  return keys.flatMap(jwk => {
    if (!isJsonObject(jwk) || member(jwk, 'use') !== 'x509-svid') return []
    const chain = member(jwk, 'x5c')
    const first = Array.isArray(chain) ? chain[0] : undefined
    if (typeof first !== 'string' || !BASE64.test(first)) return []
    return [new Uint8Array(Buffer.from(first, 'base64'))]
  })
}

/** RFC 7517 section 4.7: not base64url. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** At least 64 bits wide (section 4.1.1): the strict parser hands integers above 2^53 on as bigint. */
function readSequence(document: JsonObject): bigint | undefined {
  const value = member(document, 'spiffe_sequence')
  if (value === undefined) return undefined
  if (typeof value === 'string' || !(typeof value === 'bigint' || Number.isSafeInteger(value))) {
    throw new Error('spiffe_sequence is not an integer')
  }
  const sequence = BigInt(value as number | bigint)
  if (sequence < 0n || sequence >= SEQUENCE_LIMIT) throw new Error('spiffe_sequence is out of range')
  return sequence
}

/** Section 4.1.2. A hint that is none is not followed. */
function readRefreshHint(document: JsonObject): number | undefined {
  const value = member(document, 'spiffe_refresh_hint')
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function unavailable(failure: string | undefined): AttestationUnavailable {
  return new AttestationUnavailable(`the trust bundle cannot be used: ${failure ?? 'not read'}`)
}
