/** The configuration files of a simulated broker, and the settings by which what is registered counts. */
import { namespacesShape } from '../../src/config/namespaces.ts'
import type { Settings } from '../../src/config.ts'
import { type FileSet, fileSetOf } from '../../src/registry/files.ts'
import { agentsOf, type Configuration, configurations } from './agents.ts'
import { type PolicySet, policyFiles, policySets } from './policies.ts'
import type { Chance } from './random.ts'

/** What one set of files says. */
export type Files = {
  agents: Configuration
  policies: PolicySet
  /** Of the issuers' settings: who agreed to a mint by the former agreed to none by these. */
  edition: 1 | 2
  /** `configuration_version`. */
  version: number
}

export const firstFiles = (chance: Chance): Files => ({
  ...{ agents: 'wide', edition: 1, version: 1 },
  policies: chance.pick(['none', 'asking', 'asking', 'strict', 'apart']),
})

/** Others, with a higher version or without: those that were in force before may come again. */
export function otherFiles({ version }: Files, chance: Chance): Files {
  return {
    agents: chance.pick([...configurations, 'wide']),
    policies: chance.pick(policySets),
    edition: chance.pick([1, 1, 2]),
    version: chance.hits(0.5) ? version + 1 : version,
  }
}

const issuerNames = ['hub', 'brief', 'roles', 'jwt'] as const

/** The one namespace: its team registers policies. */
export const TEAM = 'team'

// All that the registry reads of settings where nobody registers plugins or resource servers.
export const simSettings = {
  namespaces: namespacesShape.parse({ [TEAM]: { owners: ['platform'] } }),
} as Partial<Settings> as Settings

export function readFiles({ agents, policies, edition, version }: Files): FileSet {
  const instance = (type: string, declared: object) => ({ type, settings: {}, declared: { ...declared } })
  return fileSetOf(
    {
      attestors: { sim: instance('sim', {}) },
      issuers: Object.fromEntries(issuerNames.map(name => [name, instance(name, { edition })])),
      namespaces: simSettings.namespaces,
      configuration_version: version,
    },
    {
      agents: [...agentsOf(agents).values()],
      resourceServers: [],
      policies: policyFiles(policies),
    },
  )
}
