/**
 * A SPIFFE trust bundle in a file (SPIFFE Trust Domain and Bundle section 4), read again when it changes.
 *
 * The operator's own tooling (`spire-server bundle show -format spiffe`, a mounted ConfigMap) writes it. A
 * file that cannot be read or that is no newer bundle leaves the last good one in use for `maxStaleMs`.
 */
import { AttestationUnavailable, type AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import type { JoseHeader } from './compact-jws.ts'
import { type KeySet, type KeySource, pickKey, readKeySet } from './key-set.ts'
import { type JsonObject, member, parseStrictJsonObject } from './strict-json.ts'

export const BUNDLE_TIMES = {
  /** Between two looks at the file. */
  checkMs: 5_000,
  /** How long the last good bundle is used while the file is not good. */
  maxStaleMs: 60 * 60_000,
} as const

const MAX_BUNDLE_CHARACTERS = 1024 * 1024
const SEQUENCE_LIMIT = 2n ** 64n

type Bundle = { text: string; keys: KeySet; sequence: bigint | undefined }
type State = {
  bundle?: Bundle
  goodAtMs: number
  checkedAtMs?: number
  failure?: string | undefined
  pending?: Promise<void> | undefined
}

export function createBundleFile(
  path: string,
  algorithms: readonly Algorithm[],
  deps: Pick<AttestorDeps, 'now' | 'readFile'>,
): KeySource {
  const state: State = { goodAtMs: 0 }

  async function check(): Promise<void> {
    try {
      const text = await deps.readFile(path)
      if (text !== state.bundle?.text) state.bundle = readBundle(text, algorithms, state.bundle)
      state.goodAtMs = deps.now()
      state.failure = undefined
    } catch (error) {
      state.failure = error instanceof Error ? error.message : 'unknown failure'
    }
    state.checkedAtMs = deps.now()
    state.pending = undefined
  }

  return {
    async find(header: JoseHeader) {
      const due = elapsedMs(deps.now(), state.checkedAtMs) >= BUNDLE_TIMES.checkMs
      if (due || state.pending !== undefined) {
        state.pending ??= check()
        await state.pending
      }
      const stale = elapsedMs(deps.now(), state.goodAtMs) >= BUNDLE_TIMES.maxStaleMs
      if (state.bundle === undefined || stale) {
        throw unavailable(state)
      }
      const picked = pickKey(state.bundle.keys, header)
      // The key may be in the newer bundle that we could not take: that is not the caller's fault.
      if (!picked.ok && picked.rejection === 'key_unknown' && state.failure !== undefined) {
        throw unavailable(state)
      }
      return picked
    },
  }
}

/** @throws Error when it is no bundle, or not a newer one than `previous`. */
function readBundle(text: string, algorithms: readonly Algorithm[], previous: Bundle | undefined): Bundle {
  if (text.length > MAX_BUNDLE_CHARACTERS) throw new Error('the bundle is too large')
  const document = parseStrictJsonObject(text)
  const sequence = readSequence(document)
  if (previous?.sequence !== undefined && (sequence === undefined || sequence < previous.sequence)) {
    throw new Error('spiffe_sequence went back')
  }
  return {
    text,
    // `use` is mandatory in a bundle, and keys of another use, X.509 roots say, are not for tokens.
    keys: readKeySet(document, { algorithms, use: { value: 'jwt-svid', mayBeAbsent: false } }),
    sequence,
  }
}

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

function unavailable(state: State): AttestationUnavailable {
  return new AttestationUnavailable(`the trust bundle cannot be used: ${state.failure ?? 'not read'}`)
}

function elapsedMs(now: number, since: number | undefined): number {
  return since === undefined || now < since ? Number.POSITIVE_INFINITY : now - since
}
