/** A ledger with a great many leases outstanding, in seconds: one is written by the broker, the rest are copied from it. */
import { join } from 'node:path'
import { columns } from '../src/store/tables.ts'
import { openBenchCore } from './core.ts'
import { fill } from './fill.ts'
import type { LedgerKind, Place, Shelf } from './shelf.ts'

/** Over as many ms the copies' moments are spread, towards later: none falls due while anything is measured. */
const SPREAD_MS = 3_000_000

/** What differs from copy to copy: SQL over the number `n` of the copy and the row `t` that is copied. */
type Differing = Readonly<Record<string, string>>

/**
 * Their agents are none that a bench configures: what a change of configuration or policies holds against all that
 * is live would be a load of its own, beside what is measured.
 *
 * @param count active tasks with one active lease each, of the issuer `answers`.
 * @returns a place that nobody has open.
 */
export async function stock(shelf: Shelf, directory: string, count: number): Promise<Place> {
  const place = await shelf.place(directory)
  const core = await openBenchCore(join(directory, 'stock'), place, shelf)
  try {
    await fill(core, { count: 1, issuer: 'answers', state: 'active' })
  } finally {
    await core.close()
  }
  await place.query(`begin;
    ${copyRows('tasks', tasksDiffer(shelf.kind), count)};
    ${copyRows('leases', leasesDiffer(shelf.kind), count)};
    commit`)
  // As a database that has been at work for a while: its planner knows the tables, its log is written back.
  if (shelf.kind === 'postgres') for (const sql of ['vacuum (analyze)', 'checkpoint']) await place.query(sql)
  else await place.query('pragma wal_checkpoint(truncate)')
  return place
}

function copyRows(table: 'tasks' | 'leases', differing: Differing, count: number): string {
  const all = columns[table].map(column => [`"${column}"`, differing[column] ?? `t."${column}"`] as const)
  return `insert into ${table} (${all.map(([name]) => name).join(', ')})
    with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < ${count - 1})
    select ${all.map(([, value]) => value).join(', ')}
    from numbers cross join (select * from ${table} limit 1) as t`
}

/** Of a task's token, with what parts it from the hash. */
const MOMENT_CHARS = 9

const tasksDiffer = (kind: LedgerKind): Differing => ({
  id: id('id'),
  root: id('root'),
  agent: "'stocked-' || (n % 8)",
  token_hash: random('token_hash', kind, MOMENT_CHARS),
  ...later(['opened_at', 'deadline']),
})

const leasesDiffer = (kind: LedgerKind): Differing => ({
  id: id('id'),
  task: id('task'),
  ask_id: id('ask_id'),
  agent: "'stocked-' || (n % 8)",
  secret_sha256: random('secret_sha256', kind),
  ...later(['intended_at', 'mint_not_after', 'dead_by', 'active_at', 'expires_at', 'provider_expires_at']),
  ...later(['due_at']),
})

/** As long as an id is, and sorted as ids are: by when they were made. */
const id = (column: string) => `substr(t."${column}", 1, length(t."${column}") - 10) || (1000000000 + n)`

const later = (names: readonly string[]): Differing =>
  Object.fromEntries(names.map(name => [name, `t."${name}" + n % ${SPREAD_MS}`]))

/** As long as the original, and as scattered over an index as hashes are. @param kept characters in front that stay */
function random(column: string, kind: LedgerKind, kept = 0): string {
  const text = kind === 'sqlite' ? 'lower(hex(randomblob(16)))' : "replace(gen_random_uuid()::text, '-', '')"
  return `substr(t."${column}", 1, ${kept}) || ${text} || substr(t."${column}", ${kept + 33})`
}
