/**
 * A SPIFFE trust bundle in a file, read again when it changes.
 *
 * The operator's own tooling (`spire-server bundle show -format spiffe`, a mounted ConfigMap) writes it. A
 * file that cannot be read or that is no newer bundle leaves the last good one in use for `maxStaleMs`.
 */
import type { AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { keepLastGood } from './last-good.ts'
import { type Bundle, type BundleSource, bundleSource, readBundle } from './spiffe-bundle.ts'

export const BUNDLE_TIMES = {
  /** Between two looks at the file. */
  checkMs: 5_000,
  /** How long the last good bundle is used while the file is not good. */
  maxStaleMs: 60 * 60_000,
} as const

type Read = { text: string; bundle: Bundle }

export function createBundleFile(
  path: string,
  algorithms: readonly Algorithm[],
  deps: Pick<AttestorDeps, 'now' | 'readFile'>,
): BundleSource {
  const kept = keepLastGood<Read>(async before => {
    const text = await deps.readFile(path)
    return text === before?.text ? before : { text, bundle: readBundle(text, algorithms, before?.bundle) }
  }, deps.now)
  return bundleSource(async () => {
    await kept.readAfter(BUNDLE_TIMES.checkMs)
    const bundle = kept.within(BUNDLE_TIMES.maxStaleMs)?.bundle
    return { bundle, failure: kept.failure, from: path, readAtMs: kept.readAtMs }
  })
}
