/** The registry: one generation after the other, and old files are nobody's way back. */
import type { Change } from './ledger/tables.ts'
import type { Facts } from './oracle.ts'

export function* registryChecks(facts: Facts, changes: readonly Change[], by: string): Generator<string> {
  const { rows, generations, scheduler, tally } = facts
  for (const change of changes) {
    if (change.table !== 'registry' || change.after === undefined) continue
    const { generation, files_digest: files } = change.after
    const before = generations.at(-1)
    tally.edge('registry next generation')
    if (generation !== (before?.generation ?? 0) + 1)
      yield `generation ${generation} came after ${before?.generation}`
    if (before !== undefined && files !== before.files) yield* returnChecks(facts, before.files, files, by)
    generations.push({ generation, files, at: scheduler.now() })
  }
  if (rows.registry.size > 1) yield 'there are two registries'
}

/**
 * Files that were in force come again by a higher version, or by whoever had those that are; where one broker has
 * the ledger for itself, by its word alone.
 */
function* returnChecks(
  { rows, generations, hostOf }: Facts,
  from: string | null,
  to: string | null,
  by: string,
): Generator<string> {
  const versionOf = (digest: string | null) => rows.file_sets.get(digest ?? '')?.version ?? 0
  const host = hostOf(by)
  if (host?.registry.options.isAlone || host?.files.has(from ?? '')) return
  if (versionOf(to) > versionOf(from)) return
  if (versionOf(to) < versionOf(from) || generations.some(one => one.files === to))
    yield 'files that were superseded are in force again'
}
