/** What a team wants registered, before any of it is looked at. */
import type { Broker } from '../broker/broker.ts'
import type { YamlFile } from '../config.ts'
import type { ResourceKind } from '../store/rows.ts'
import type { RegistryOptions } from './registry.ts'
import type { RegistryState } from './state.ts'

export type NamedResource = { kind: ResourceKind; name: string }
export type UploadedSecret = { kind: 'attestor' | 'issuer'; resource: string; name: string; value: string }

export type WantedSet = {
  /** YAML, or JSON which is YAML: `kind`, and what the file of such a thing holds. `source` is for messages. */
  documents: readonly { source: string; text: string }[]
  remove: readonly NamedResource[]
  /** Namespaces of which everything else is removed. */
  prune: readonly string[]
  secrets: readonly UploadedSecret[]
}

/** One document, its `kind` and `name` read and the rest not yet. */
export type WantedDocument = NamedResource & { namespace: string; file: YamlFile }

export type Parsing = { broker: Broker; state: RegistryState; options: RegistryOptions; set: WantedSet }
