/** Pages and their query parameters. */
import type { Context } from 'hono'
import type { z } from 'zod'
import { BrokerError } from '../broker/broker-error.ts'
import type { Page } from '../store/ledger.ts'
import { parse } from './read-body.ts'

/** Query parameters by a strict schema; a parameter that comes twice is refused. */
export function query<T>(c: Context, schema: z.ZodType<T>): T {
  const all = c.req.queries()
  const twice = Object.entries(all).find(([, values]) => values.length > 1)
  if (twice !== undefined)
    throw new BrokerError('request_invalid', `the parameter ${twice[0]} was sent twice`)
  return parse(schema, c.req.query())
}

export function page<Row, Shown>({ items, next }: Page<Row>, show: (row: Row) => Shown) {
  return { items: items.map(show), next }
}

/** Without the members that are undefined. */
export function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
