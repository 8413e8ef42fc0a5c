/** Cursors: where a page ended, as base64url of its sort key. Opaque to whoever carries it. */
import { BadCursor, type Page } from '../ledger.ts'

/** A moment (epoch ms) or sequence number, and the id that breaks ties. */
export type SortKey = readonly [order: number, id: string]

const cursorMax = 512

export function encodeCursor(key: SortKey): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** @throws BadCursor where it is not one that {@link encodeCursor} made. */
export function decodeCursor(cursor: string): SortKey {
  const key = cursor.length > cursorMax ? undefined : parse(cursor)
  if (!Array.isArray(key) || key.length !== 2) throw new BadCursor('not a cursor of this list')
  const [order, id]: unknown[] = key
  if (!Number.isSafeInteger(order) || typeof id !== 'string') throw new BadCursor('not a cursor of this list')
  return [order as number, id]
}

/** `rows` holds one more than the page where there is a next one. */
export function toPage<Row>(rows: Row[], limit: number, key: (row: Row) => SortKey): Page<Row> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, next: rows.length > limit && last !== undefined ? encodeCursor(key(last)) : null }
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
}
