/**
 * Statements compiled once. Building a query and compiling it costs more than running it on an embedded
 * database, so each is built the first time it is needed, with placeholders where values go, and only the
 * values change from call to call.
 */
import type { Compilable, CompiledQuery } from 'kysely'

export type Result<R> = { rows: R[]; changed: number }

/** Runs one compiled statement in the transaction or snapshot that it belongs to. */
export type Run = <R>(query: CompiledQuery<R>) => Promise<Result<R>>

/**
 * The same for a statement of which nothing is asked but that it succeeds. It may be sent later, though before
 * every later one: then its failure is told by one of those, or by the commit.
 */
export type Send = (query: CompiledQuery) => Promise<unknown>

/**
 * Whether a statement (INSERT or UPDATE, without RETURNING) changes a row, or a SELECT finds one, as it nearly always
 * does. It may be taken for granted and sent later, like {@link Send}: where it then does not, the whole body runs
 * again and is told so.
 */
export type Expect = (query: CompiledQuery) => Promise<boolean>

/**
 * What a SELECT answers that nearly always answers as it did before. It may be answered from memory, where nobody
 * can have changed it since, or where it is sent later, like {@link Expect}: where it then answers otherwise, the
 * whole body runs again and is told so.
 */
export type Recall = <R>(query: CompiledQuery<R>) => Promise<R[]>

/** What the operations of one transaction share. */
export type Transaction = {
  readonly run: Run
  readonly send: Send
  readonly expect: Expect
  readonly recall: Recall
  readonly now: number
}

/** Where every statement is answered at once, and nothing is gained by sending one later. */
export function askingAll(run: Run): Omit<Transaction, 'now'> {
  return {
    run,
    send: run,
    expect: async query => (await run(query)).changed > 0,
    recall: async query => (await run(query)).rows,
  }
}

class Placeholder {
  readonly name: PropertyKey
  constructor(name: PropertyKey) {
    this.name = name
  }
}

/** `build` sees a placeholder for each parameter, typed as the value that will take its place. */
export function prepare<P extends object, R>(
  build: (parameters: P) => Compilable<R>,
): (parameters: P) => CompiledQuery<R> {
  let compiled: CompiledQuery<R> | undefined
  return parameters => {
    compiled ??= build(placeholders<P>()).compile()
    return bind(compiled, parameters, [])
  }
}

/** The longest list sent in one statement; well under the parameter limits of both databases. */
const listMax = 512

/**
 * The same, for statements over a list of texts (`x in (...)`). Lists are cut into batches, and padded by
 * repeating their last entry to a power of two, so that the statements stay few. An empty list asks nothing.
 */
export function prepareList<P extends object, R>(
  build: (list: string[], parameters: P) => Compilable<R>,
): (list: readonly string[], parameters: P) => CompiledQuery<R>[] {
  const compiled = new Map<number, CompiledQuery<R>>()
  return (list, parameters) => {
    const queries: CompiledQuery<R>[] = []
    for (let from = 0; from < list.length; from += listMax) {
      const batch = list.slice(from, from + listMax)
      const size = 2 ** Math.ceil(Math.log2(batch.length))
      let query = compiled.get(size)
      if (query === undefined) {
        query = build(listPlaceholders(size), placeholders<P>()).compile()
        compiled.set(size, query)
      }
      queries.push(bind(query, parameters, batch))
    }
    return queries
  }
}

/** The part of a row that is inserted. */
export function pick<Row extends object>(row: Row, columns: readonly (keyof Row)[]): Row {
  return Object.fromEntries(columns.map(column => [column, row[column]])) as Row
}

/** Runs each query and gathers the rows of all. */
export async function gather<R>(run: Run, queries: readonly CompiledQuery<R>[]): Promise<R[]> {
  const [only] = queries
  if (only !== undefined && queries.length === 1) return (await run(only)).rows
  const rows: R[] = []
  for (const query of queries) rows.push(...(await run(query)).rows)
  return rows
}

function bind<R>(query: CompiledQuery<R>, parameters: object, list: readonly string[]): CompiledQuery<R> {
  const values = query.parameters.map(value => {
    if (!(value instanceof Placeholder)) return value
    const { name } = value
    if (typeof name === 'number') return list[Math.min(name, list.length - 1)]
    return (parameters as Record<PropertyKey, unknown>)[name]
  })
  return { sql: query.sql, query: query.query, queryId: query.queryId, parameters: values }
}

function placeholders<P extends object>(): P {
  // A placeholder stands where a value of P's property will stand; Kysely passes values through unread.
  return new Proxy({} as P, { get: (_, name) => new Placeholder(name) })
}

function listPlaceholders(size: number): string[] {
  // As above: each stands for a text.
  return Array.from({ length: size }, (_, index) => new Placeholder(index) as unknown as string)
}
