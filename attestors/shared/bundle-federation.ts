/**
 * A trust bundle from a bundle endpoint of profile `https_web` (SPIFFE Federation section 5.2.1): the web's own
 * authorities vouch for the address, the settings say whose bundle it is.
 *
 * It is fetched when the first evidence comes and, when it has grown old, by the evidence that comes then; nothing in
 * evidence makes it come sooner. New keys are published well before they are used (section 4.1).
 */
import type { AttestorDeps } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { keepLastGood } from './last-good.ts'
import { type Bundle, type BundleSource, bundleSource, readBundle } from './spiffe-bundle.ts'
import { isJsonObject, type JsonValue, member, parseStrictJsonObject } from './strict-json.ts'

export const FEDERATION_TIMES = {
  /** Where the bundle does not say (section 4.1). */
  refreshMs: 300_000,
  /** A publisher's hint is followed within these. */
  leastRefreshMs: 30_000,
  mostRefreshMs: 60 * 60_000,
  /** Between two calls while there is no bundle at all. */
  retryMs: 2_000,
  /** The oldest bundle that is used while no newer one can be had. */
  maxStaleMs: 6 * 60 * 60_000,
} as const

export type BundleEndpoint = {
  url: string
  /** In the place of the publisher's hint. */
  refreshS?: number | undefined
}

type Fetched = { text: string; content: string; bundle: Bundle }

export function createFederatedBundle(
  endpoint: BundleEndpoint,
  algorithms: readonly Algorithm[],
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): BundleSource {
  const kept = keepLastGood<Fetched>(
    async before => accept(await fetchText(endpoint.url, deps.fetch), algorithms, before),
    deps.now,
  )

  function waitMs(): number {
    const { retryMs, refreshMs, leastRefreshMs, mostRefreshMs } = FEDERATION_TIMES
    if (kept.value === undefined) return retryMs
    if (endpoint.refreshS !== undefined) return endpoint.refreshS * 1_000
    const hintS = kept.value.bundle.refreshHintS
    return hintS === undefined ? refreshMs : Math.min(mostRefreshMs, Math.max(leastRefreshMs, hintS * 1_000))
  }

  return bundleSource(async () => {
    await kept.readAfter(waitMs())
    const bundle = kept.within(FEDERATION_TIMES.maxStaleMs)?.bundle
    return { bundle, failure: kept.failure, from: endpoint.url, readAtMs: kept.readAtMs }
  })
}

/** @throws Error where it is no bundle, or not the successor of `before` */
function accept(text: string, algorithms: readonly Algorithm[], before: Fetched | undefined): Fetched {
  if (text === before?.text) return before
  const bundle = readBundle(text, algorithms, before?.bundle)
  const content = contentOf(text)
  // Section 4.1.1 of Trust Domain and Bundle: the number changes with the content. Which of two is newer is not known.
  const sameNumber = bundle.sequence !== undefined && bundle.sequence === before?.bundle.sequence
  if (sameNumber && content !== before?.content)
    throw new Error('the bundle changed and spiffe_sequence did not')
  return { text, content, bundle }
}

/** The keys, the same for any order of them and of their members: servers write maps as they come. */
function contentOf(text: string): string {
  const keys = member(parseStrictJsonObject(text), 'keys')
  return Array.isArray(keys) ? keys.map(inOrder).sort().join('\n') : ''
}

function inOrder(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(inOrder).join(',')}]`
  if (!isJsonObject(value)) return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
  const names = Object.keys(value).sort()
  return `{${names.map(name => `${JSON.stringify(name)}:${inOrder(member(value, name) ?? null)}`).join(',')}}`
}

async function fetchText(url: string, fetch: AttestorDeps['fetch']): Promise<string> {
  const response = await fetch(url)
  if (response.status !== 200) throw new Error(`status ${response.status}`)
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await response.arrayBuffer())
}
