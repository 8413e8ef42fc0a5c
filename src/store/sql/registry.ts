/** The registry: what is registered, every version of it, and the files that were in force. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { FileSetRow, RegistryRow, ResourceKind, ResourceRow, ResourceSecretRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type RegistryReads = Pick<
  LedgerRead,
  'registry' | 'resources' | 'resource' | 'resourceVersions' | 'fileSet' | 'resourceSecrets'
>
export type RegistryWrites = Pick<
  LedgerWrite,
  | 'lockRegistry'
  | 'registryGeneration'
  | 'setRegistry'
  | 'putResource'
  | 'putFileSet'
  | 'putResourceSecret'
  | 'deleteResourceSecrets'
  | 'hasOutstanding'
>

const HEAD = ['generation', 'resources_digest', 'files_digest', 'changed_at', 'mac'] as const

export function registryReads({ db }: SqlDialect, run: Run): RegistryReads {
  const head = prepare((_: object) => db.selectFrom('registry').select(HEAD).where('generation', '>', 0))
  const resources = prepare((_: object) =>
    db
      .selectFrom('resources')
      .selectAll()
      .where('current', '=', sql.lit(1))
      .where('state', '=', sql.lit('registered'))
      .orderBy('kind')
      .orderBy('name'),
  )
  const resource = prepare((p: { kind: ResourceKind; name: string }) =>
    db
      .selectFrom('resources')
      .selectAll()
      .where('kind', '=', p.kind)
      .where('name', '=', p.name)
      .where('current', '=', sql.lit(1)),
  )
  const versions = prepare((p: { kind: ResourceKind; name: string; before: number; limit: number }) =>
    db
      .selectFrom('resources')
      .selectAll()
      .where('kind', '=', p.kind)
      .where('name', '=', p.name)
      .where('version', '<', p.before)
      .orderBy('version', 'desc')
      .limit(p.limit),
  )
  const fileSet = prepare((p: { digest: string }) =>
    db.selectFrom('file_sets').selectAll().where('digest', '=', p.digest),
  )
  const secrets = prepare((_: object) =>
    db.selectFrom('resource_secrets').selectAll().orderBy('kind').orderBy('resource').orderBy('name'),
  )
  return {
    registry: async () => (await run(head({}))).rows[0],
    resources: async () => (await run(resources({}))).rows,
    resource: async (kind, name) => (await run(resource({ kind, name }))).rows[0],
    resourceVersions: async (kind, name, { limit, after }) =>
      (await run(versions({ kind, name, limit, before: after ?? Number.MAX_SAFE_INTEGER }))).rows,
    fileSet: async digest => (await run(fileSet({ digest }))).rows[0],
    resourceSecrets: async () => (await run(secrets({}))).rows,
  }
}

export function registryWrites({ db, lock }: SqlDialect): (tx: Transaction) => RegistryWrites {
  const empty = { generation: 0, resources_digest: '', files_digest: null, changed_at: 0, mac: '' }
  /** Whoever comes first makes the row that all of them lock. */
  const begin = prepare((_: object) =>
    db
      .insertInto('registry')
      .values({ id: 1, ...empty })
      .onConflict(conflict => conflict.column('id').doNothing()),
  )
  const locked = prepare((_: object) => lock(db.selectFrom('registry').select(HEAD), 'update', 'registry'))
  const generation = prepare((_: object) => db.selectFrom('registry').select('generation'))
  const set = prepare((row: RegistryRow) =>
    db.updateTable('registry').set({
      generation: row.generation,
      resources_digest: row.resources_digest,
      files_digest: row.files_digest,
      changed_at: row.changed_at,
      mac: row.mac,
    }),
  )
  const supersede = prepare((p: { kind: ResourceKind; name: string }) =>
    db
      .updateTable('resources')
      .set({ current: 0 })
      .where('kind', '=', p.kind)
      .where('name', '=', p.name)
      .where('current', '=', sql.lit(1)),
  )
  const insert = prepare((row: ResourceRow) =>
    db.insertInto('resources').values(pick(row, columns.resources)),
  )
  const fileSet = prepare((row: FileSetRow) =>
    db
      .insertInto('file_sets')
      .values({ digest: row.digest, version: row.version, generation: row.generation, at: row.at })
      .onConflict(conflict =>
        conflict.column('digest').doUpdateSet({ generation: row.generation, at: row.at }),
      ),
  )
  const secret = prepare((row: ResourceSecretRow) =>
    db
      .insertInto('resource_secrets')
      .values(pick(row, columns.resource_secrets))
      .onConflict(conflict =>
        conflict.columns(['kind', 'resource', 'name']).doUpdateSet({ sealed: row.sealed, at: row.at }),
      ),
  )
  const outstanding = prepare((p: { issuer: string }) =>
    db
      .selectFrom('leases')
      .select('id')
      .where('issuer', '=', p.issuer)
      // A literal, as the partial index says it.
      .where('state', '<>', sql.lit('closed'))
      .limit(sql.lit(1)),
  )

  return ({ run, recall }) => ({
    async lockRegistry() {
      await run(begin({}))
      const [row] = (await run(locked({}))).rows
      return row === undefined || row.generation === 0 ? undefined : row
    },
    registryGeneration: async () => (await recall(generation({})))[0]?.generation ?? 0,
    async setRegistry(row) {
      await run(set(row))
    },
    async putResource(row) {
      await run(supersede(row))
      await run(insert(row))
    },
    async putFileSet(row) {
      await run(fileSet(row))
    },
    async putResourceSecret(row) {
      await run(secret(row))
    },
    async deleteResourceSecrets(kind, resource, keep) {
      let gone = db.deleteFrom('resource_secrets').where('kind', '=', kind).where('resource', '=', resource)
      if (keep.length > 0) gone = gone.where('name', 'not in', [...keep])
      await run(gone.compile())
    },
    hasOutstanding: async issuer => (await run(outstanding({ issuer }))).rows.length > 0,
  })
}
