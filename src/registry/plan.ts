/** What would change, told before it does: each resource field by field, and what that widens or narrows. */
import type { Broker } from '../broker/broker.ts'
import { canonicalDigest } from '../canonical.ts'
import type { ResourceKind } from '../store/rows.ts'
import type { ResourceChange } from './commit.ts'
import { parseSet } from './documents.ts'
import type { RegistryOptions } from './registry.ts'
import { type Document, keyOf, type Resource, resourceOf } from './resource.ts'
import { type RegistryState, readState } from './state.ts'
import type { WantedSet } from './wanted.ts'
import { effectsOf } from './widening.ts'

export type FieldChange = { path: string; before?: unknown; after?: unknown }

export type PlannedChange = {
  action: 'add' | 'change' | 'remove'
  kind: ResourceKind
  name: string
  /** Digest of the document that would be registered, or is removed. */
  digest: string
  fields: FieldChange[]
  widens: string[]
  narrows: string[]
}

export type Plan = {
  /** It can be applied for as long as the registry is of this generation. */
  generation: number
  /** SHA-256 (hex) of the generation and the changes: what a human agrees to. */
  digest: string
  /** Whose resources it changes. */
  namespaces: string[]
  changes: PlannedChange[]
}

export type Planned = { plan: Plan; state: RegistryState; changes: readonly ResourceChange[] }

/** @throws BrokerError `registry_invalid`, `managed_by_file`, `not_found` */
export async function planSet(broker: Broker, options: RegistryOptions, set: WantedSet): Promise<Planned> {
  const state = await readState(broker)
  const changes = parseSet({ broker, state, options, set })
  const planned = changes.map(change => describe(state, change, broker.issuers))
  const plain = planned.map(({ action, kind, name, digest }) => ({ action, kind, name, digest }))
  const namespaces = [...new Set(changes.map(({ resource }) => resource.namespace ?? ''))].sort()
  const { generation } = state
  const digest = canonicalDigest({ generation, changes: plain })
  return { plan: { generation, digest, namespaces, changes: planned }, state, changes }
}

function describe(
  state: RegistryState,
  { state: becomes, resource }: ResourceChange,
  issuers: Broker['issuers'],
): PlannedChange {
  const row = state.rows.get(keyOf(resource))
  const before = row === undefined ? undefined : resourceOf(row)
  const after = becomes === 'removed' ? undefined : resource
  const { kind, name, digest } = resource
  const action = after === undefined ? 'remove' : before === undefined ? 'add' : 'change'
  const fields = differences(documentOf(before), documentOf(after))
  return { action, kind, name, digest, fields, ...effectsOf(before, after, issuers) }
}

const documentOf = (resource: Resource | undefined): Document | undefined => resource?.document

/** Maps member by member; anything else as a whole. */
export function differences(before: unknown, after: unknown, path = ''): FieldChange[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return []
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return keys.flatMap(key => differences(before[key], after[key], path === '' ? key : `${path}.${key}`))
  }
  return [
    {
      path,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  ]
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
