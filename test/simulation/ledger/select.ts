/** Selecting, ordering and paging of rows in memory. */
import { BadCursor, type Page } from '../../../src/store/ledger.ts'
import type { TableName } from './tables.ts'
import type { Committed } from './transaction.ts'

export type RowOf<Name extends TableName> = Committed[Name] extends Map<string, infer Row> ? Row : never

/** Rows as they were committed, which nobody can change: a copy of each for every look is most of a history's time. */
export function all<Name extends TableName>(rows: Committed, table: Name): RowOf<Name>[] {
  return [...rows[table].values()] as RowOf<Name>[]
}

export function by<Row>(...keys: ((row: Row) => string | number)[]): (a: Row, b: Row) => number {
  return (a, b) => {
    for (const key of keys) {
      const [x, y] = [key(a), key(b)]
      if (x !== y) return x < y ? -1 : 1
    }
    return 0
  }
}

type SortKey = readonly [order: number, id: string]

export function paged<Row>(
  rows: Row[],
  page: { limit: number; after?: string },
  key: (row: Row) => SortKey,
  first: 'newest' | 'oldest',
): Page<Row> {
  const sign = first === 'newest' ? -1 : 1
  const order = ([a, x]: SortKey, [b, y]: SortKey) => sign * (a - b || (x < y ? -1 : x > y ? 1 : 0))
  const after = page.after === undefined ? undefined : decode(page.after)
  const rest = rows
    .sort((a, b) => order(key(a), key(b)))
    .filter(row => after === undefined || order(key(row), after) > 0)
  const items = rest.slice(0, page.limit)
  const last = items.at(-1)
  const hasMore = rest.length > page.limit && last !== undefined
  return { items, next: hasMore ? Buffer.from(JSON.stringify(key(last))).toString('base64url') : null }
}

function decode(cursor: string): SortKey {
  try {
    const [order, id]: unknown[] = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (typeof order === 'number' && typeof id === 'string') return [order, id]
  } catch {
    // Not JSON, or not a list: refused below.
  }
  throw new BadCursor('not a cursor of this list')
}
