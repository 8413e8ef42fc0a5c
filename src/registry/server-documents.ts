/** Resource servers that a team registers: each sees the tokens of its audience, which must be the namespace's. */
import {
  type Parsed,
  type Problem,
  parseResourceServerFiles,
  type ResourceServer,
  resourceServerShape,
  teamNameShape,
} from '../config.ts'
import { own } from './effective.ts'
import { newResource, type Resource, resourceOf } from './resource.ts'
import type { Parsing, WantedDocument } from './wanted.ts'

export function parseServerDocuments(
  { state, options: { settings } }: Parsing,
  wanted: readonly WantedDocument[],
): Parsed<Resource[]> {
  const mine = wanted.filter(one => one.kind === 'resource_server')
  const names = new Set(mine.map(one => one.name))
  const others = [...state.rows.values()].filter(
    row => row.kind === 'resource_server' && !names.has(row.name),
  )
  const parsed = parseResourceServerFiles(
    mine.map(({ name, file }) => ({ name, file })),
    {
      public_url: settings.public_url,
      shape: resourceServerShape(teamNameShape),
      others: others.map(row => resourceOf(row).document as ResourceServer),
    },
  )
  if (!parsed.ok) return parsed
  const problems: Problem[] = parsed.value.flatMap(({ name, audience }) => {
    const { namespace, file } = mine.find(one => one.name === name)!
    if (own(settings.namespaces, namespace)?.audiences.includes(audience)) return []
    return [file.problem(['audience'], `expected an audience of ${namespace} (namespaces in mayfly.yaml)`)]
  })
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, value: parsed.value.map(one => newResource('resource_server', one.name, one)) }
}
