/**
 * Of a bound that does not cover an ask: the entry that comes nearest, and what of the ask is beyond it. For whoever
 * answers for the agent, and never for the caller. It knows no issuer: a part is beyond where the entry with that
 * part in place of its own is not covered any more.
 */
import type { Issuer } from '../../issuers/issuer.ts'
import { LIMITS } from '../limits.ts'

type Covers = Pick<Issuer, 'covers' | 'couldCover'>
type Members = Readonly<Record<string, unknown>>
type Near = { entry: unknown; beyond: string[] }

/** @returns lines for people, the entry first; none where there is no entry */
export function nearestEntry(issuer: Covers, entries: readonly unknown[], ask: unknown): string[] {
  const near = entries
    .map(entry => ({ entry, beyond: beyondOf(issuer, entry, ask) }))
    .reduce<Near | undefined>(
      (least, one) => (least === undefined || one.beyond.length < least.beyond.length ? one : least),
      undefined,
    )
  if (near === undefined) return []
  const { entry, beyond } = near
  return [
    `nearest is ${text(entry)}`,
    ...beyond.slice(0, LIMITS.partsBeyond).map(part => `beyond it: ${part}`),
    ...(beyond.length > LIMITS.partsBeyond ? ['and more'] : []),
  ]
}

function beyondOf(issuer: Covers, entry: unknown, ask: unknown): string[] {
  if (!isMap(entry) || !isMap(ask)) return [text(ask)]
  const fits = (changed: Members) => isCovered(issuer, entry, changed)
  const base = smallest(entry, fits)
  const names = [...new Set([...Object.keys(entry), ...Object.keys(ask)])]
  const parts = names.flatMap(name => {
    const { [name]: own, ...without } = base
    const wanted = ask[name]
    if (wanted === undefined) return own === undefined || fits(without) ? [] : [`${name}: nothing`]
    const fitsAs = (value: unknown) => fits({ ...base, [name]: value })
    if (fitsAs(wanted)) return []
    const told = pieces(wanted, own, fitsAs).map(piece => `${name}: ${piece}`)
    return told.length === 0 ? [`${name}: ${text(wanted)}`] : told
  })
  // Each part of it fits, and all of them together do not.
  return parts.length === 0 ? [text(ask)] : parts
}

/** What of a list or a map does not fit, of the first of many; none where it cannot be told apart. */
function pieces(wanted: unknown, own: unknown, fitsAs: (value: unknown) => boolean): string[] {
  if (Array.isArray(wanted))
    return wanted
      .slice(0, LIMITS.partsLookedAt)
      .filter(one => !fitsAs([one]))
      .map(one => text(lessOf(one, value => fitsAs([value]))))
  if (!isMap(wanted)) return []
  const kept = isMap(own) ? own : {}
  return Object.entries(wanted)
    .slice(0, LIMITS.partsLookedAt)
    .filter(([key, value]) => !fitsAs({ ...kept, [key]: value }))
    .map(([key, value]) => `${key}: ${text(value)}`)
}

/** An element of a list, its own lists cut to what does not fit, where that is what is beyond. */
function lessOf(element: unknown, fits: (value: unknown) => boolean): unknown {
  if (!isMap(element)) return element
  const cut = Object.entries(element).map(([key, value]) => {
    if (!Array.isArray(value)) return [key, value] as const
    const beyond = value.slice(0, LIMITS.partsLookedAt).filter(one => !fits({ ...element, [key]: [one] }))
    return [key, beyond.length === 0 ? value : beyond] as const
  })
  return Object.fromEntries(cut)
}

/** The entry with one of each list, which is as good to put a part into, and cheaper to hold against it. */
function smallest(entry: Members, fits: (changed: Members) => boolean): Members {
  const small = Object.fromEntries(
    Object.entries(entry).map(([name, value]) => [name, Array.isArray(value) ? value.slice(0, 1) : value]),
  )
  return fits(small) ? small : entry
}

/** A mixture that an issuer cannot even look at fits nowhere; what was asked was judged before. */
function isCovered(issuer: Covers, entry: unknown, mixture: unknown): boolean {
  try {
    return (issuer.couldCover ?? issuer.covers)(entry, mixture)
  } catch {
    return false
  }
}

function isMap(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing'
  return json.length > LIMITS.detailChars ? `${json.slice(0, LIMITS.detailChars)}…` : json
}
