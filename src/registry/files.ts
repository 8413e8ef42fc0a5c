/** What a broker's files say, as resources, and by which digest the whole is known again. */
import { canonicalDigest } from '../canonical.ts'
import type { PluginInstance, Registry, Settings } from '../config.ts'
import type { ResourceKind } from '../store/rows.ts'
import { policyResources } from './policies.ts'
import { newResource, type Resource } from './resource.ts'

export type FileSet = {
  resources: readonly Resource[]
  /** `configuration_version` in mayfly.yaml. */
  version: number
  /** SHA-256 (hex) over the resources, the namespaces and the version: the same on every broker with these files. */
  digest: string
}

type Declared = Pick<Settings, 'attestors' | 'issuers' | 'namespaces' | 'configuration_version'>

export function fileSetOf(
  settings: Declared,
  { agents, resourceServers, policies }: Pick<Registry, 'agents' | 'resourceServers' | 'policies'>,
): FileSet {
  const resources = [
    ...instances('attestor', settings.attestors),
    ...instances('issuer', settings.issuers),
    ...agents.map(({ digest: _, ...document }) => newResource('agent', document.name, document)),
    ...resourceServers.map(server => newResource('resource_server', server.name, server)),
    ...policyResources(policies),
  ]
  const { namespaces, configuration_version: version } = settings
  const digest = canonicalDigest({
    version,
    namespaces,
    resources: resources.map(one => `${one.kind}/${one.name} ${one.digest}`).sort(),
  })
  return { resources, version, digest }
}

function instances(kind: ResourceKind, all: Readonly<Record<string, PluginInstance>>): Resource[] {
  return Object.entries(all).map(([name, { type, owner, description, declared }]) =>
    newResource(kind, name, {
      type,
      ...(owner === undefined ? {} : { owner }),
      ...(description === undefined ? {} : { description }),
      settings: declared,
    }),
  )
}
