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

type State = {
  good?: Fetched
  fetchedAtMs: number
  attemptedAtMs?: number
  /** Why the last attempt failed; undefined after a good one. */
  failure?: string | undefined
  pending?: Promise<void> | undefined
}

export function createRemoteKeySet(
  location: KeySetLocation,
  rules: KeySetRules,
  deps: Pick<AttestorDeps, 'now' | 'fetch'>,
): KeySource {
  const state: State = { fetchedAtMs: 0 }

  function mayAsk(): boolean {
    if (state.pending !== undefined || state.attemptedAtMs === undefined) return true
    const wait = state.good === undefined ? KEY_SET_TIMES.retryMs : KEY_SET_TIMES.cooldownMs
    return elapsedMs(deps.now(), state.attemptedAtMs) >= wait
  }

  function refresh(): Promise<void> {
    state.pending ??= fetchKeySet(location, rules, deps)
      .then(
        good => Object.assign(state, { good, fetchedAtMs: deps.now(), failure: undefined }),
        (error: unknown) => Object.assign(state, { failure: reasonOf(error) }),
      )
      .then(() => {
        state.attemptedAtMs = deps.now()
        state.pending = undefined
      })
    return state.pending
  }

  async function currentKeys(): Promise<KeySet> {
    const old = elapsedMs(deps.now(), state.fetchedAtMs) >= KEY_SET_TIMES.refreshAfterMs
    if ((state.good === undefined || old) && mayAsk()) await refresh()
    if (state.good === undefined) throw unavailable(state)
    if (elapsedMs(deps.now(), state.fetchedAtMs) >= KEY_SET_TIMES.maxStaleMs) throw unavailable(state)
    return state.good.set
  }

  return {
    async find(header: JoseHeader) {
      const picked = pickKey(await currentKeys(), header)
      if (picked.ok || picked.rejection !== 'key_unknown') return picked
      if (mayAsk()) await refresh()
      const again = pickKey(await currentKeys(), header)
      // A newer key may be there that we could not fetch: that is not the caller's fault.
      if (!again.ok && again.rejection === 'key_unknown' && state.failure !== undefined) {
        throw unavailable(state)
      }
      return again
    },
    status: () => statusOf(state, location),
  }
}

function statusOf(
  { good, fetchedAtMs, failure }: State,
  { issuer, jwksUri }: KeySetLocation,
): KeySourceStatus {
  const trouble = failure === undefined ? {} : { failure }
  if (good === undefined) return { from: jwksUri ?? issuer, keys: 0, ...trouble }
  const { set, from, serverAheadMs } = good
  const clock = serverAheadMs === undefined ? {} : { serverAheadMs }
  return { from, readAtMs: fetchedAtMs, keys: set.usable.length, ...clock, ...trouble }
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

/** A clock that was set back counts as having run: the worst it causes is one more fetch. */
function elapsedMs(now: number, since: number): number {
  return now < since ? Number.POSITIVE_INFINITY : now - since
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure'
}

function unavailable(state: State): AttestationUnavailable {
  return new AttestationUnavailable(
    `the key set cannot be fetched: ${state.failure ?? 'not tried again yet'}`,
  )
}
