/** Schema step 9: what is registered, every version of it, and the files that were in force. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function registrySchema({ integer, bytes, wide }: SqlDialect['words']): readonly string[] {
  return [
    `create table registry (
      id ${integer} primary key not null check (id = 1), generation ${integer} not null,
      resources_digest text not null, files_digest text, changed_at ${integer} not null, mac text not null
    ) ${wide}`,

    `create table resources (
      kind text not null check (kind in ('agent', 'attestor', 'issuer', 'resource_server', 'policy')),
      name text not null, version ${integer} not null, namespace text,
      managed_by text not null check (managed_by in ('file', 'api')),
      state text not null check (state in ('registered', 'removed')),
      current ${integer} not null check (current in (0, 1)),
      document text not null, digest text not null, generation ${integer} not null, actor text not null,
      reason text not null, at ${integer} not null, mac text not null,
      primary key (kind, name, version), check ((managed_by = 'file') = (namespace is null))
    ) ${wide}`,
    'create unique index resources_current on resources (kind, name) where current = 1',

    `create table file_sets (
      digest text primary key not null, version ${integer} not null, generation ${integer} not null,
      at ${integer} not null
    ) ${wide}`,

    `create table resource_secrets (
      kind text not null, resource text not null, name text not null, sealed ${bytes} not null,
      at ${integer} not null, primary key (kind, resource, name)
    ) ${wide}`,
  ]
}
