/**
 * The configuration: one settings file, one file per agent, one per resource server. Accepted whole, or
 * refused whole with every problem found: file, line, key, what was expected, what to do.
 */
import { dirname, isAbsolute, join } from 'node:path'
import type { AttestorType } from '../attestors/attestor.ts'
import type { IssuerType } from '../issuers/issuer.ts'
import { agentShapeOf } from './config/agent-shape.ts'
import { type AskSchemas, parseAgentFiles, parseAgents } from './config/agents.ts'
import { type Drill, parseDrills } from './config/drills.ts'
import { clashes, parseInstances, rulesOf } from './config/instances.ts'
import type { TlsSettings } from './config/listen.ts'
import {
  anyNameShape,
  ceilingProblems,
  type Namespace,
  namespaceOf,
  teamNameShape,
} from './config/namespaces.ts'
import { type Parsed, parseShape } from './config/parse-shape.ts'
import { readPolicies } from './config/policies.ts'
import { ConfigError, type Problem } from './config/problem.ts'
import { type ConfigFiles, readFolder, readText } from './config/read-files.ts'
import {
  parseResourceServerFiles,
  parseResourceServers,
  type ResourceServer,
  resourceServerShape,
} from './config/resource-servers.ts'
import { type PluginInstance, type Settings, type SettingsShape, settingsShape } from './config/settings.ts'
import { parseYaml, type YamlFile } from './config/yaml-file.ts'
import { loadPlugin, PluginRefused } from './plugins.ts'
import type { Agent } from './policy/agent.ts'
import type { PolicyFile } from './policy/cedar/compile.ts'

export {
  type AskSchemas,
  agentShapeOf,
  anyNameShape,
  ConfigError,
  type ConfigFiles,
  clashes,
  type Namespace,
  namespaceOf,
  type Parsed,
  type PluginInstance,
  type Problem,
  parseAgentFiles,
  parseResourceServerFiles,
  parseShape,
  parseYaml,
  type ResourceServer,
  resourceServerShape,
  rulesOf,
  type Settings,
  type SettingsShape,
  teamNameShape,
  type YamlFile,
}

export type PluginLists = {
  attestorTypes: readonly AttestorType[]
  issuerTypes: readonly IssuerType[]
}

/** Settings, and every type they may speak of: the built-in ones and those of the named modules. */
export type LoadedSettings = PluginLists & { settings: Settings }

/** What is read again on reload, without a restart. */
export type Registry = {
  /** Sorted by name. */
  agents: readonly Agent[]
  resourceServers: readonly ResourceServer[]
  /** By issuer. */
  drills: ReadonlyMap<string, Drill>
  /** Sorted by name, and not yet compiled. Absent: no policy beside the ceilings. */
  policies?: readonly PolicyFile[]
}

/**
 * Settings and registry in one go. `openIssuers` stands between them: ceilings are parsed with the ask
 * schemas of the opened issuers, and opening does no network call.
 * @throws ConfigError
 */
export async function loadConfig(
  path: string,
  files: ConfigFiles,
  plugins: PluginLists & { openIssuers(loaded: LoadedSettings): AskSchemas },
): Promise<LoadedSettings & Registry> {
  const loaded = await loadSettings(path, files, plugins)
  const registry = await loadRegistry(loaded.settings, plugins.openIssuers(loaded), files)
  return { ...loaded, ...registry }
}

/** @throws ConfigError */
export async function loadSettings(
  path: string,
  files: ConfigFiles,
  builtIn: PluginLists,
): Promise<LoadedSettings> {
  const { file, shape } = await parseSettings(path, files)
  const types = await addPluginTypes(file, shape.plugins, files, builtIn)
  const attestors = parseInstances(file, 'attestors', shape.attestors, types.attestorTypes)
  const issuers = parseInstances(file, 'issuers', shape.issuers, types.issuerTypes)
  if (!attestors.ok || !issuers.ok) {
    throw new ConfigError([attestors, issuers].flatMap(part => (part.ok ? [] : part.problems)))
  }
  const settings = {
    ...shape,
    directory: dirname(path),
    attestors: attestors.value,
    issuers: issuers.value,
  }
  return { ...types, settings }
}

/** What the file says, without the modules that it names. @throws ConfigError */
export async function readSettings(path: string, files: ConfigFiles): Promise<SettingsShape> {
  return (await parseSettings(path, files)).shape
}

async function parseSettings(
  path: string,
  files: ConfigFiles,
): Promise<{ file: YamlFile; shape: SettingsShape }> {
  const file = parseYaml(path, await readText(files, path))
  const parsed = parseShape(file, settingsShape, file.value)
  if (!parsed.ok) throw new ConfigError(parsed.problems)
  return { file, shape: resolvePaths(parsed.value, dirname(path)) }
}

/** @throws ConfigError */
export async function loadRegistry(
  settings: Settings,
  issuers: AskSchemas,
  files: ConfigFiles,
): Promise<Registry> {
  const agents = parseAgents(await readFolder(files, settings.agents_dir, 'agents_dir'), settings, issuers)
  const servers = parseResourceServers(
    await readFolder(files, settings.resource_servers_dir, 'resource_servers_dir'),
    settings,
  )
  const drills = parseDrills(settings, issuers)
  const shared = ceilingProblems(settings, issuers)
  if (!agents.ok || !servers.ok || !drills.ok || shared.length > 0) {
    const others = [agents, servers, drills].flatMap(part => (part.ok ? [] : part.problems))
    throw new ConfigError([...others, ...shared])
  }
  const { policies_dir: folder } = settings
  return {
    ...{ agents: agents.value, resourceServers: servers.value, drills: drills.value },
    ...(folder === undefined ? {} : { policies: await readPolicies(files, folder) }),
  }
}

/** Where a path from a configuration file points. */
export function fromDirectory(directory: string, path: string): string {
  return isAbsolute(path) ? path : join(directory, path)
}

function resolvePaths(shape: SettingsShape, directory: string): SettingsShape {
  const at = (path: string) => fromDirectory(directory, path)
  const pairAt = (pair: TlsSettings): TlsSettings =>
    'workload_api' in pair ? pair : { cert_file: at(pair.cert_file), key_file: at(pair.key_file) }
  const listenAt = (listen: SettingsShape['listen']): SettingsShape['listen'] =>
    listen.tls === undefined ? listen : { ...listen, tls: pairAt(listen.tls) }
  const { mtls_listen: mtls } = shape
  return {
    ...shape,
    listen: listenAt(shape.listen),
    ...(shape.operator_listen === undefined ? {} : { operator_listen: listenAt(shape.operator_listen) }),
    ...(mtls === undefined ? {} : { mtls_listen: { ...mtls, tls: pairAt(mtls.tls) } }),
    operators: operatorsAt(shape.operators, at),
    ledger: ledgerAt(shape.ledger, at),
    kek_file: at(shape.kek_file),
    plugins: shape.plugins.map(({ module, sha256 }) => ({ module: at(module), sha256 })),
    metrics: shape.metrics.token_file === undefined ? {} : { token_file: at(shape.metrics.token_file) },
    webhooks: Object.fromEntries(
      Object.entries(shape.webhooks).map(([name, webhook]) => [
        name,
        { ...webhook, secret_file: at(webhook.secret_file) },
      ]),
    ),
    observers: observersAt(shape.observers, at),
    agents_dir: at(shape.agents_dir),
    resource_servers_dir: at(shape.resource_servers_dir),
    ...(shape.policies_dir === undefined ? {} : { policies_dir: at(shape.policies_dir) }),
    ...(shape.policies_shadow_dir === undefined
      ? {}
      : { policies_shadow_dir: at(shape.policies_shadow_dir) }),
  }
}

function operatorsAt(
  { roles_dir, ...operators }: SettingsShape['operators'],
  at: (path: string) => string,
): SettingsShape['operators'] {
  return roles_dir === undefined ? operators : { ...operators, roles_dir: at(roles_dir) }
}

function observersAt(
  observers: SettingsShape['observers'],
  at: (path: string) => string,
): SettingsShape['observers'] {
  const { github_webhooks: webhooks } = observers
  return webhooks === undefined
    ? observers
    : { ...observers, github_webhooks: { secret_file: at(webhooks.secret_file) } }
}

function ledgerAt(ledger: SettingsShape['ledger'], at: (path: string) => string): SettingsShape['ledger'] {
  if (ledger.type === 'sqlite') return { ...ledger, path: at(ledger.path) }
  const { url_file, ca_file } = ledger
  return {
    ...ledger,
    ...(url_file === undefined ? {} : { url_file: at(url_file) }),
    ...(ca_file === undefined ? {} : { ca_file: at(ca_file) }),
  }
}

async function addPluginTypes(
  file: YamlFile,
  entries: SettingsShape['plugins'],
  files: ConfigFiles,
  builtIn: PluginLists,
): Promise<PluginLists> {
  let { attestorTypes, issuerTypes } = builtIn
  const problems: Problem[] = []
  for (const [index, entry] of entries.entries()) {
    const key = ['plugins', index]
    try {
      const added = await loadPlugin(entry, files.readFile)
      const taken = [
        ...duplicates(attestorTypes, added.attestorTypes),
        ...duplicates(issuerTypes, added.issuerTypes),
      ]
      if (taken.length > 0) problems.push(file.problem(key, `types that exist already: ${taken.join(', ')}`))
      attestorTypes = [...attestorTypes, ...added.attestorTypes]
      issuerTypes = [...issuerTypes, ...added.issuerTypes]
    } catch (error) {
      if (!(error instanceof PluginRefused)) throw error
      const remedy = 'Review the module, then pin what you reviewed: sha256sum FILE'
      problems.push(file.problem([...key, 'sha256'], error.message, remedy))
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { attestorTypes, issuerTypes }
}

function duplicates(known: readonly { type: string }[], added: readonly { type: string }[]): string[] {
  const names = [...known, ...added].map(({ type }) => type)
  return names.filter((name, index) => names.indexOf(name) !== index)
}
