/** Which names somebody may have meant. Pure. */

const MOST_SHOWN = 5

/** Those that differ from `wanted` by a slip or two of the fingers, or hold it; the nearest first, at most five. */
export function nearNames(wanted: string, names: Iterable<string>): string[] {
  const most = Math.max(1, Math.floor(wanted.length / 3))
  const near = [...names]
    .map(name => ({ name, slips: slips(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, slips }) => slips <= most || (wanted.length > 2 && name.includes(wanted)))
  return near
    .toSorted((a, b) => a.slips - b.slips || (a.name < b.name ? -1 : 1))
    .slice(0, MOST_SHOWN)
    .map(({ name }) => name)
}

/** Letters put in, left out, exchanged for another, or for their neighbour (optimal string alignment). */
function slips(from: string, to: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: to.length + 1 }, (_, place) => place)]
  for (let at = 1; at <= from.length; at++) {
    const next = [at]
    for (let place = 1; place <= to.length; place++) {
      const isSame = from[at - 1] === to[place - 1]
      const isTurned = from[at - 1] === to[place - 2] && from[at - 2] === to[place - 1]
      next[place] = Math.min(
        next[place - 1]! + 1,
        row[place]! + 1,
        row[place - 1]! + (isSame ? 0 : 1),
        isTurned ? before[place - 2]! + 1 : Number.POSITIVE_INFINITY,
      )
    }
    ;[before, row] = [row, next]
  }
  return row[to.length]!
}
