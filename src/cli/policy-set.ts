/** The policies of a configuration, for the commands that judge them without a broker. */
import type { Attestor } from '../../attestors/attestor.ts'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import { policyProblem, readPolicies } from '../config/policies.ts'
import { ConfigError, type LoadedSettings, loadConfig, type Settings } from '../config.ts'
import type { Edge } from '../open-core.ts'
import { openAttestors, openIssuers } from '../open-plugins.ts'
import type { Agent } from '../policy/agent.ts'
import { type CompiledSet, compilePolicies, type PolicyFile } from '../policy/cedar/compile.ts'
import { lintPolicies } from '../policy/cedar/lint.ts'
import type { Finding } from '../policy/cedar/lint-finding.ts'
import { type Vocabulary, vocabularyOf } from '../policy/cedar/vocabulary.ts'
import { type Terminal, usageError } from './terminal.ts'

export type PolicySource = { config: string; policies?: string }

export type Installation = {
  settings: Settings
  agents: readonly Agent[]
  attestors: ReadonlyMap<string, Attestor>
  issuers: ReadonlyMap<string, Issuer>
  /** By name of the attestor. */
  attestorTypes: ReadonlyMap<string, string>
  /** Policies that stand beside those of the folder. */
  registered: readonly PolicyFile[]
  vocabulary: Vocabulary
}

export type FileInstallation = Installation & { loaded: LoadedSettings }

/** Everything that policies may speak of, from the configuration alone. @throws ConfigError */
export async function readInstallation(terminal: Terminal, config: string): Promise<FileInstallation> {
  const edge: Edge = await terminal.edge()
  let issuers: ReadonlyMap<string, Issuer> = new Map()
  const loaded = await loadConfig(config, edge.files, {
    attestorTypes,
    issuerTypes,
    openIssuers(settings) {
      issuers = openIssuers(settings, edge, offline)
      return new Map(issuers)
    },
  })
  const { settings, agents } = loaded
  const attestors = openAttestors(loaded, edge, offline.get)
  const types = Object.entries(settings.attestors).map(([name, { type }]) => [name, type] as const)
  const installation = withVocabulary({
    ...{ settings, agents, attestors, issuers },
    ...{ attestorTypes: new Map(types), registered: [] },
  })
  return { ...installation, loaded }
}

/** With what policies may speak of in it. */
export function withVocabulary(installation: Omit<Installation, 'vocabulary'>): Installation {
  return { ...installation, vocabulary: vocabularyOf(installation.attestors, installation.issuers) }
}

/** Opening a plugin makes no call, reads no secret and signs nothing, so there is nothing to lend it here. */
const refused = () => Promise.reject(new Error('policies are judged without a call, a secret or a signature'))
export const offline = { fetch: refused, get: refused, read: refused, sign: refused, signIdentity: refused }

/** @throws ConfigError with every problem, where the set is not one that a broker would load */
export async function compileFolder(
  terminal: Terminal,
  { settings, registered, vocabulary }: Pick<Installation, 'settings' | 'registered' | 'vocabulary'>,
  named: string | undefined,
): Promise<CompiledSet> {
  const folder = named ?? settings.policies_dir
  if (folder === undefined && registered.length === 0)
    throw usageError(
      'there are no policies: set policies_dir in the settings, or name a folder: --policies DIR',
    )
  const { files } = await terminal.edge()
  const own = folder === undefined ? [] : await readPolicies(files, folder)
  const result = compilePolicies([...own, ...registered], vocabulary)
  if (result.ok) return result.set
  throw new ConfigError(result.problems.map(policyProblem))
}

/** What is wrong with a set that is valid, held against the whole installation. */
export function lintInstallation(
  set: CompiledSet,
  { agents, attestorTypes: types, vocabulary }: Installation,
): Finding[] {
  const risky = [...types].filter(([, type]) => type === 'github-actions')
  return lintPolicies(set.policies, {
    vocabulary,
    attestors: [...types.keys()],
    riskyAttestors: risky.map(([name]) => name),
    agents: agents.map(({ name }) => name),
    teams: [...new Set(agents.map(({ owner }) => owner.business))],
  })
}
