/**
 * What a statement answered last, for those that nearly always answer the same: how an agent is registered, the
 * generation of the registry, that nothing is blocked. Nothing is taken from here on trust: whoever is told from
 * memory sends the statement all the same, and it fails where its answer would be another.
 */
import type { CompiledQuery } from 'kysely'
import type { Statement } from './postgres-batch.ts'

export type Recollections = {
  /** The rows as they were, and what fails as a division by zero where they are not these. */
  of<R>(query: CompiledQuery<R>): { rows: R[]; check: Statement } | undefined
  /** The same query, answered with what {@link keep} takes. */
  telling<R>(query: CompiledQuery<R>): CompiledQuery<Told<R>>
  /** @returns the rows as the query itself would have answered them. */
  keep<R>(query: CompiledQuery<R>, told: readonly Told<R>[]): R[]
}

/** `whole`: all columns as PostgreSQL writes them, which is what it compares. */
type Told<R> = R & { whole: string }

/** Of agents, mostly; each is a few kilobytes at most. */
const keptMax = 2_000

export function openRecollections(): Recollections {
  /** By statement and parameters; what was kept first goes first. */
  const kept = new Map<string, { rows: object[]; whole: string | undefined }>()
  const wordings = new Map<string, { telling: string; same: string; none: string }>()

  function wordingOf(sql: string, parameters: number) {
    let wording = wordings.get(sql)
    if (wording === undefined) {
      const answer = `with "met" as (${sql}) select`
      wording = {
        telling: `${answer} "met".*, "met"::text as "whole" from "met"`,
        same: `${answer} 1 / (count(*) = 1 and bool_and("met"::text = $${parameters + 1}))::int from "met"`,
        none: `${answer} 1 / (count(*) = 0)::int from "met"`,
      }
      wordings.set(sql, wording)
    }
    return wording
  }

  return {
    of<R>({ sql, parameters }: CompiledQuery<R>) {
      const known = kept.get(nameOf(sql, parameters))
      if (known === undefined) return undefined
      const { same, none } = wordingOf(sql, parameters.length)
      const { rows, whole } = known
      const check =
        whole === undefined ? { sql: none, parameters } : { sql: same, parameters: [...parameters, whole] }
      // Copies, of the type that the same query was answered with.
      return { rows: rows.map(row => ({ ...row })) as R[], check }
    },
    telling: query => ({ ...query, sql: wordingOf(query.sql, query.parameters.length).telling }),
    keep<R>({ sql, parameters }: CompiledQuery<R>, told: readonly Told<R>[]) {
      const rows = told.map(({ whole: _, ...row }) => row as R)
      const name = nameOf(sql, parameters)
      kept.delete(name)
      if (told.length > 1) return rows
      if (kept.size >= keptMax) kept.delete(kept.keys().next().value!)
      kept.set(name, { rows: rows.map(row => ({ ...row }) as object), whole: told[0]?.whole })
      return rows
    },
  }
}

const nameOf = (sql: string, parameters: readonly unknown[]) =>
  parameters.length === 0 ? sql : `${sql} ${JSON.stringify(parameters)}`
