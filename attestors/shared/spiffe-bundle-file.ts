/**
 * A SPIFFE trust bundle in a file, read again when it changes.
 *
 * The operator's own tooling (`spire-server bundle show -format spiffe`, a mounted ConfigMap) writes it. A
 * file that cannot be read or that is no newer bundle leaves the last good one in use for `maxStaleMs`.
 */
import type { AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { type Bundle, type BundleSource, bundleSource, readBundle } from './spiffe-bundle.ts'

export const BUNDLE_TIMES = {
  /** Between two looks at the file. */
  checkMs: 5_000,
  /** How long the last good bundle is used while the file is not good. */
  maxStaleMs: 60 * 60_000,
} as const

type State = {
  good?: { text: string; bundle: Bundle }
  goodAtMs: number
  checkedAtMs?: number
  failure?: string | undefined
  pending?: Promise<void> | undefined
}

export function createBundleFile(
  path: string,
  algorithms: readonly Algorithm[],
  deps: Pick<AttestorDeps, 'now' | 'readFile'>,
): BundleSource {
  const state: State = { goodAtMs: 0 }

  async function check(): Promise<void> {
    try {
      const text = await deps.readFile(path)
      if (text !== state.good?.text)
        state.good = { text, bundle: readBundle(text, algorithms, state.good?.bundle) }
      state.goodAtMs = deps.now()
      state.failure = undefined
    } catch (error) {
      state.failure = error instanceof Error ? error.message : 'unknown failure'
    }
    state.checkedAtMs = deps.now()
    state.pending = undefined
  }

  return bundleSource(async () => {
    const due = elapsedMs(deps.now(), state.checkedAtMs) >= BUNDLE_TIMES.checkMs
    if (due || state.pending !== undefined) {
      state.pending ??= check()
      await state.pending
    }
    const stale = elapsedMs(deps.now(), state.goodAtMs) >= BUNDLE_TIMES.maxStaleMs
    const bundle = stale ? undefined : state.good?.bundle
    return { bundle, failure: state.failure, from: path, readAtMs: state.goodAtMs }
  })
}

function elapsedMs(now: number, since: number | undefined): number {
  return since === undefined || now < since ? Number.POSITIVE_INFINITY : now - since
}
