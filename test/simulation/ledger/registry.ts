/** The registry in memory: what is registered, every version of it, and the files that were in force. */
import type { LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'
import type { At } from './reads.ts'
import { all, by } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

type RegistryReads = Pick<
  LedgerRead,
  'registry' | 'resources' | 'resource' | 'resourceVersions' | 'fileSet' | 'resourceSecrets'
>
type RegistryWrites = Pick<
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

const HEAD = 'head'

export function registryReads(rows: Committed, at: At): RegistryReads {
  const copy = <Row extends object>(row: Row | undefined) => (row === undefined ? undefined : { ...row })
  return {
    registry: () => at('registry', () => copy(rows.registry.get(HEAD))),
    resources: () =>
      at('resources', () =>
        all(rows, 'resources')
          .filter(row => row.current === 1 && row.state === 'registered')
          .sort(
            by(
              row => row.kind,
              row => row.name,
            ),
          ),
      ),
    resource: (kind, name) =>
      at('resource', () =>
        all(rows, 'resources').find(row => row.kind === kind && row.name === name && row.current === 1),
      ),
    resourceVersions: (kind, name, { limit, after }) =>
      at('resourceVersions', () =>
        all(rows, 'resources')
          .filter(row => row.kind === kind && row.name === name && row.version < (after ?? Infinity))
          .sort(by(row => -row.version))
          .slice(0, limit),
      ),
    fileSet: digest => at('fileSet', () => copy(rows.file_sets.get(digest))),
    resourceSecrets: () =>
      at('resourceSecrets', () =>
        all(rows, 'resource_secrets').sort(
          by(
            row => row.kind,
            row => row.resource,
            row => row.name,
          ),
        ),
      ),
  }
}

export function registryWrites(io: StatementIo): RegistryWrites {
  const { statement } = io
  return {
    lockRegistry: () =>
      statement('lockRegistry', async () => {
        await io.lock('registry', HEAD, 'update')
        const row = io.get('registry', HEAD)
        return row === undefined ? undefined : { ...row }
      }),
    registryGeneration: () =>
      statement('registryGeneration', () => io.get('registry', HEAD)?.generation ?? 0),
    setRegistry: row => statement('setRegistry', () => io.set('registry', HEAD, { ...row })),
    putResource: row =>
      statement('putResource', async () => {
        const { kind, name, version } = row
        await io.update(
          'resources',
          one => one.kind === kind && one.name === name && one.current === 1,
          () => ({ current: 0 }) as const,
        )
        await io.insert('resources', `${kind} ${name} ${version}`, row)
      }),
    putFileSet: row =>
      statement('putFileSet', async () => {
        await io.lock('file_sets', row.digest, 'update')
        const version = io.get('file_sets', row.digest)?.version ?? row.version
        io.set('file_sets', row.digest, { ...row, version })
      }),
    putResourceSecret: row =>
      statement('putResourceSecret', async () => {
        const key = `${row.kind} ${row.resource} ${row.name}`
        await io.lock('resource_secrets', key, 'update')
        io.set('resource_secrets', key, { ...row })
      }),
    deleteResourceSecrets: (kind, resource, keep) =>
      statement('deleteResourceSecrets', async () => {
        const isGone = (row: { kind: string; resource: string; name: string }) =>
          row.kind === kind && row.resource === resource && !keep.includes(row.name)
        for (const [key] of io.scan('resource_secrets', isGone)) {
          await io.lock('resource_secrets', key, 'update')
          io.set('resource_secrets', key, undefined)
        }
      }),
    hasOutstanding: issuer =>
      statement(
        'hasOutstanding',
        () => io.scan('leases', row => row.issuer === issuer && row.state !== 'closed').length > 0,
      ),
  }
}
