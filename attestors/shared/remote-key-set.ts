/**
 * An issuer's key set over HTTP: found by discovery or given, fetched when first needed, again when it is
 * old or a kid is unknown, and kept through an outage.
 *
 * - Callers share one fetch, and a flood of unknown kids costs at most one fetch per cooldown.
 * - While the issuer is out, keys are used up to `maxStaleMs`; then, and for a kid that is not among them,
 *   the answer is "could not check", never "bad evidence".
 * - What it fetches from is configured. Nothing in a token chooses an address.
 */
import { AttestationUnavailable, type AttestorDeps } from '../attestor.ts'
import type { JoseHeader } from './compact-jws.ts'
import {
  type KeySet,
  type KeySetRules,
  type KeySource,
  type KeySourceStatus,
  pickKey,
  readKeySet,
} from './key-set.ts'
import { keepLastGood, type LastGood } from './last-good.ts'
import { member, parseStrictJsonObject } from './strict-json.ts'

export type KeySetLocation = {
  /** Must come back letter for letter in the discovery document (OpenID Connect Discovery 1.0, 4.3). */
  issuer: string
  /** When given there is no discovery. */
  jwksUri?: string | undefined
  /** Hosts, with port, that a discovered `jwks_uri` may be on beside the issuer's own. */
  jwksHosts?: readonly string[] | undefined
}

export const KEY_SET_TIMES = {
  /** Keys older than this are fetched again before use. */
  refreshAfterMs: 10 * 60_000,
  /** Between two fetches that a token caused. */
  cooldownMs: 30_000,
  /** Between two fetches while there is no key set at all. */
  retryMs: 2_000,
  /** The oldest keys that are used while the issuer cannot be reached. */
  maxStaleMs: 6 * 60 * 60_000,
} as const

type Fetched = { set: KeySet; from: string; serverAheadMs?: number }

export function createRemoteKeySet(
  location: KeySetLocation,
  rules: KeySetRules,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): KeySource {
  const kept = keepLastGood(() => fetchKeySet(location, rules, deps), deps.now)

  function refresh(): Promise<void> {
    return kept.readAfter(kept.value === undefined ? KEY_SET_TIMES.retryMs : KEY_SET_TIMES.cooldownMs)
  }

  async function currentKeys(): Promise<KeySet> {
    if (kept.within(KEY_SET_TIMES.refreshAfterMs) === undefined) await refresh()
    const usable = kept.within(KEY_SET_TIMES.maxStaleMs)
    if (usable === undefined) throw unavailable(kept.failure)
    return usable.set
  }

  return {
    async find(header: JoseHeader) {
      const picked = pickKey(await currentKeys(), header)
      if (picked.ok || picked.rejection !== 'key_unknown') return picked
      await refresh()
      const again = pickKey(await currentKeys(), header)
      // A newer key may be there that we could not fetch: that is not the caller's fault.
      if (!again.ok && again.rejection === 'key_unknown' && kept.failure !== undefined) {
        throw unavailable(kept.failure)
      }
      return again
    },
    status: () => statusOf(kept, location),
  }
}

/** A key set in a file, for {@link createRemoteKeySet} to read as if it were served. */
export function keySetFile(
  path: string,
  readFile: AttestorDeps['readFile'],
): { jwksUri: string; fetch: AttestorDeps['fetch'] } {
  return { jwksUri: `file:${path}`, fetch: async () => new Response(await readFile(path)) }
}

function statusOf(
  { value, readAtMs, failure }: LastGood<Fetched>,
  { issuer, jwksUri }: KeySetLocation,
): KeySourceStatus {
  const trouble = failure === undefined ? {} : { failure }
  if (value === undefined) return { from: jwksUri ?? issuer, keys: 0, ...trouble }
  const { set, from, serverAheadMs } = value
  const clock = serverAheadMs === undefined ? {} : { serverAheadMs }
  return { from, readAtMs, keys: set.usable.length, ...clock, ...trouble }
}

async function fetchKeySet(
  location: KeySetLocation,
  rules: KeySetRules,
  { fetch, now }: Pick<AttestorDeps, 'now' | 'fetch'>,
): Promise<Fetched> {
  const from = location.jwksUri ?? (await discover(location, fetch))
  const { document, date } = await fetchJson(from, fetch)
  const set = readKeySet(document, rules)
  return Number.isFinite(date) ? { set, from, serverAheadMs: date - now() } : { set, from }
}

async function discover(location: KeySetLocation, fetch: AttestorDeps['fetch']): Promise<string> {
  const { issuer } = location
  const { document } = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, fetch)
  if (member(document, 'issuer') !== issuer) throw new Error('discovery answers for another issuer')
  const uri = member(document, 'jwks_uri')
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('discovery has no jwks_uri')
  const { protocol, host, username, password } = new URL(uri)
  const own = new URL(issuer)
  if (protocol !== 'https:' && protocol !== own.protocol) throw new Error('jwks_uri is not https')
  if (username !== '' || password !== '') throw new Error('jwks_uri carries a user name')
  if (host !== own.host && !location.jwksHosts?.includes(host)) {
    throw new Error('jwks_uri is on a host that is not allowed')
  }
  return uri
}

async function fetchJson(uri: string, fetch: AttestorDeps['fetch']) {
  const response = await fetch(uri)
  if (response.status !== 200) throw new Error(`status ${response.status}`)
  const date = Date.parse(response.headers.get('date') ?? '')
  return { document: parseStrictJsonObject(new Uint8Array(await response.arrayBuffer())), date }
}

function unavailable(failure = 'not tried again yet'): AttestationUnavailable {
  return new AttestationUnavailable(`the key set cannot be fetched: ${failure}`)
}
