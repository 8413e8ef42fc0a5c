/** What of a ceiling was used, and the narrower one that would have been enough. Pure. */
import type { Issuer } from '../../issuers/issuer.ts'

type Judge = Pick<Issuer, 'covers' | 'facts'>

export type EntryUse = {
  /** The entry of the ceiling, in the issuer's own form. */
  entry: unknown
  /** Credentials minted within it. */
  minted: number
  /** `contents:write` and the like, of which no credential had as much. */
  neverUsed: readonly string[]
  /** Ids of resources that no credential was for. */
  neverTouched: readonly string[]
}

export type CeilingUse = {
  entries: readonly EntryUse[]
  /** Every minted ask is covered by it, and it by the ceiling. Empty: nothing was minted. */
  enough: readonly unknown[]
}

/**
 * @param minted what was granted, each once. @param most entries that a ceiling may have: where the minted asks
 * are more, the ceiling's own entries that were used are the answer.
 */
export function useOfCeiling(
  issuer: Judge,
  ceiling: readonly unknown[],
  minted: readonly { ask: unknown; count: number }[],
  most: number,
): CeilingUse {
  const entries = ceiling.map(entry => {
    const within = minted.filter(({ ask }) => issuer.covers(entry, ask))
    const facts = issuer.facts(entry)
    const used = within.map(({ ask }) => issuer.facts(ask))
    const permissions = new Set(used.flatMap(one => one.permissions))
    const touched = new Set(used.flatMap(one => one.resources.flatMap(({ id, name }) => [id, name])))
    return {
      entry,
      minted: within.reduce((sum, { count }) => sum + count, 0),
      neverUsed: facts.permissions.filter(permission => !permissions.has(permission)),
      neverTouched: facts.resources
        .filter(({ id, name }) => !touched.has(id) && !touched.has(name))
        .map(({ name }) => name),
    }
  })
  const covered = minted.filter(({ ask }) => ceiling.some(entry => issuer.covers(entry, ask)))
  const widest = withoutCovered(
    issuer,
    covered.map(({ ask }) => ask),
  )
  const enough =
    widest.length <= most ? widest : entries.filter(({ minted }) => minted > 0).map(({ entry }) => entry)
  return { entries, enough }
}

/** Those that no other one covers; of two that cover each other, the first. */
function withoutCovered(issuer: Judge, asks: readonly unknown[]): unknown[] {
  const kept: unknown[] = []
  for (const ask of asks) {
    if (kept.some(one => issuer.covers(one, ask))) continue
    const left = kept.filter(one => !issuer.covers(ask, one))
    kept.splice(0, kept.length, ...left, ask)
  }
  return kept
}
