/**
 * The schema, as numbered steps for both databases. A step that has been released is never changed: a new
 * one is appended.
 */
import { CompiledQuery } from 'kysely'
import type { SqlDialect } from './dialect.ts'
import { ledgerSchema } from './schema-1.ts'
import { revocationGroups } from './schema-2.ts'
import { proofSchema } from './schema-3.ts'
import { worksSchema } from './schema-4.ts'
import { revocationsSchema } from './schema-5.ts'
import { namedLeases } from './schema-6.ts'
import { policyFacts } from './schema-7.ts'
import { approvalsSchema } from './schema-8.ts'
import { registrySchema } from './schema-9.ts'
import { agentStanding } from './schema-10.ts'
import { budgetHolds } from './schema-11.ts'
import { peopleSchema } from './schema-12.ts'
import { shadowSchema } from './schema-13.ts'
import { onBehalfOf } from './schema-14.ts'
import { dueIds } from './schema-15.ts'
import { leasePhases } from './schema-16.ts'
import { leaksSchema } from './schema-17.ts'
import { boundKeys } from './schema-18.ts'
import { reusedEvidence } from './schema-19.ts'
import { leasesByPhase } from './schema-20.ts'
import { changeSecrets } from './schema-21.ts'
import type { Run } from './sql/prepare.ts'

export type Migration = {
  readonly id: number
  readonly name: string
  /** One SQL statement each. */
  statements(words: SqlDialect['words']): readonly string[]
}

/** Ids count from 1 without a gap. */
export const migrations: readonly Migration[] = [
  { id: 1, name: 'ledger', statements: ledgerSchema },
  { id: 2, name: 'revocation groups', statements: revocationGroups },
  { id: 3, name: 'proof', statements: proofSchema },
  { id: 4, name: 'works', statements: worksSchema },
  { id: 5, name: 'revocations', statements: revocationsSchema },
  { id: 6, name: 'named leases', statements: namedLeases },
  { id: 7, name: 'policy facts', statements: policyFacts },
  { id: 8, name: 'approvals', statements: approvalsSchema },
  { id: 9, name: 'registry', statements: registrySchema },
  { id: 10, name: 'agent standing', statements: agentStanding },
  { id: 11, name: 'budget holds', statements: budgetHolds },
  { id: 12, name: 'people', statements: peopleSchema },
  { id: 13, name: 'policy shadow', statements: shadowSchema },
  { id: 14, name: 'on behalf of', statements: onBehalfOf },
  { id: 15, name: 'due ids', statements: dueIds },
  { id: 16, name: 'lease phases', statements: leasePhases },
  { id: 17, name: 'leaks', statements: leaksSchema },
  { id: 18, name: 'bound keys', statements: boundKeys },
  { id: 19, name: 'reused evidence', statements: reusedEvidence },
  { id: 20, name: 'leases by phase', statements: leasesByPhase },
  { id: 21, name: 'change secrets', statements: changeSecrets },
]

/**
 * Brings the schema up to the last of `list`, inside the caller's transaction.
 * @throws Error where the ledger was written by a newer or another program: it is left as it is.
 */
export async function migrate(
  { db, words }: SqlDialect,
  run: Run,
  now: number,
  list: readonly Migration[] = migrations,
): Promise<void> {
  await run(CompiledQuery.raw(registerTable(words)))
  const { rows: applied } = await run(
    db.selectFrom('schema_migrations').select(['id', 'name']).orderBy('id').compile(),
  )
  for (const { id, name } of applied) refuseUnknown(id, name, list)

  for (const { id, name, statements } of list.slice(applied.length)) {
    for (const statement of statements(words)) await run(CompiledQuery.raw(statement))
    await run(db.insertInto('schema_migrations').values({ id, name, applied_at: now }).compile())
  }
}

/** Where the steps taken are written down. */
export function registerTable({ integer, wide }: SqlDialect['words']): string {
  return `create table if not exists schema_migrations (
    id ${integer} primary key, name text not null, applied_at ${integer} not null
  ) ${wide}`
}

function refuseUnknown(id: number, name: string, list: readonly Migration[]): void {
  const known = list.find(migration => migration.id === id)
  if (known === undefined) {
    const newest = list.at(-1)?.id ?? 0
    throw new Error(
      `the ledger has schema ${id} (${name}) and this program knows up to ${newest}: run the version that wrote it, or a later one`,
    )
  }
  if (known.name !== name) {
    throw new Error(
      `the ledger's schema ${id} is "${name}" and this program's is "${known.name}": it is not this program's ledger`,
    )
  }
}
