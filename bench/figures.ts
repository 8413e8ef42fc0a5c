/** How figures are made and printed. A row is one line that a script can read. */

/** `least`: good at or above the bar. `most`: good at or below it. Without a bar it is there to be known. */
export type Row = { name: string; ratio: number; bar?: number; good: 'least' | 'most' }

export function meetsBar({ ratio, bar, good }: Row): boolean {
  return bar === undefined || (good === 'least' ? ratio >= bar : ratio <= bar)
}

export function line(row: Row): string {
  const { name, ratio, bar } = row
  return `bench ${name} ratio=${ratio.toFixed(2)} bar=${bar ?? 'none'}${meetsBar(row) ? '' : ' MISSED'}`
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The smallest value that `share` of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
