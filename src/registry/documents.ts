/**
 * What a team wants registered, parsed against everything that is registered: the same shapes as in files, and
 * beside them what keeps a team within its namespace. All of it is good, or all problems are told.
 */
import { BrokerError } from '../broker/broker-error.ts'
import { ConfigError, namespaceOf, type Problem, parseYaml, type YamlFile } from '../config.ts'
import type { ResourceKind } from '../store/rows.ts'
import { parseAgentDocuments } from './agent-documents.ts'
import { afterwards, type ResourceChange } from './commit.ts'
import { own } from './effective.ts'
import { parseInstanceDocument } from './instance-documents.ts'
import { keyOf, newResource, RESOURCE_KINDS, type Resource, resourceOf } from './resource.ts'
import { parseServerDocuments } from './server-documents.ts'
import type { NamedResource, Parsing, WantedDocument, WantedSet } from './wanted.ts'

/** @throws BrokerError `registry_invalid`, `managed_by_file`, `not_found` */
export function parseSet(parsing: Parsing): ResourceChange[] {
  const problems: Problem[] = []
  const wanted = readDocuments(parsing, problems)
  if (problems.length > 0) throw invalid(problems)

  // Instances first: what agents may ask for is theirs to say.
  const resources: Resource[] = []
  for (const one of wanted) {
    if (one.kind !== 'attestor' && one.kind !== 'issuer') continue
    const parsed = parseInstanceDocument(parsing, one)
    if (parsed.ok) resources.push(parsed.value)
    else problems.push(...parsed.problems)
  }
  const servers = parseServerDocuments(parsing, wanted)
  if (servers.ok) resources.push(...servers.value)
  else problems.push(...servers.problems)
  for (const one of wanted) if (one.kind === 'policy') resources.push(...parsePolicy(one, problems))
  problems.push(...strayProblems(parsing.set, resources))
  if (problems.length > 0) throw invalid(problems)

  const removals = removalsOf(parsing, wanted)
  const changes = [...resources.map(resource => ({ state: 'registered', resource }) as const), ...removals]
  const agents = parseAgentDocuments(parsing, wanted, afterwards(parsing.state, changes))
  if (!agents.ok) throw invalid(agents.problems)
  const all: ResourceChange[] = [
    ...changes,
    ...agents.value.map(resource => ({ state: 'registered', resource }) as const),
  ]
  demandRoom(parsing, afterwards(parsing.state, all))
  return all.filter(({ state, resource }) => {
    const before = parsing.state.rows.get(keyOf(resource))
    return state === 'removed' || before?.digest !== resource.digest
  })
}

/** A secret that nothing speaks of would be kept for nobody. */
function strayProblems({ secrets }: WantedSet, resources: readonly Resource[]): Problem[] {
  return secrets.flatMap(({ kind, resource, name }) => {
    const owner = resources.find(one => one.kind === kind && one.name === resource)
    if (Object.hasOwn(owner?.document.secrets ?? {}, name)) return []
    const expected = `expected settings that name secret:${name}, in the same set`
    return [{ file: `secret ${kind}/${resource}/${name}`, key: '', expected }]
  })
}

/** Whose resources a set speaks of, before any of it is looked at; null for names without a namespace. */
export function namespacesIn(
  set: Omit<WantedSet, 'secrets'> & { secrets: readonly { resource: string }[] },
): Set<string | null> {
  const named = set.documents.map(({ source, text }) => {
    try {
      const value = parseYaml(source, text).value
      return typeof value === 'object' && value !== null && 'name' in value ? String(value.name) : ''
    } catch (error) {
      if (error instanceof ConfigError) throw invalid(error.problems)
      throw error
    }
  })
  const others = [...set.remove.map(one => one.name), ...set.secrets.map(one => one.resource)]
  return new Set([...[...named, ...others].map(namespaceOf), ...set.prune])
}

export function invalid(problems: readonly Problem[]): BrokerError {
  return new BrokerError('registry_invalid', new ConfigError(problems).message)
}

/** What stands in files is changed there. @throws BrokerError `managed_by_file` */
export function refuseFileManaged(
  { options: { settings } }: Pick<Parsing, 'options'>,
  { kind, name }: NamedResource,
): void {
  const at: Record<ResourceKind, string> = {
    agent: settings.agents_dir,
    resource_server: settings.resource_servers_dir,
    policy: settings.policies_dir ?? 'policies_dir of mayfly.yaml',
    attestor: `attestors in ${settings.directory}/mayfly.yaml`,
    issuer: `issuers in ${settings.directory}/mayfly.yaml`,
  }
  throw new BrokerError(
    'managed_by_file',
    `the ${kind} ${name} is managed by files: change it in ${at[kind]}`,
  )
}

function readDocuments(parsing: Parsing, problems: Problem[]): WantedDocument[] {
  const found = new Map<string, WantedDocument>()
  for (const { source, text } of parsing.set.documents) {
    try {
      const one = readDocument(parsing, parseYaml(source, text), problems)
      if (one === undefined) continue
      if (found.has(keyOf(one))) problems.push(one.file.problem(['name'], 'expected each name once'))
      found.set(keyOf(one), one)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
    }
  }
  return [...found.values()]
}

function readDocument(parsing: Parsing, file: YamlFile, problems: Problem[]): WantedDocument | undefined {
  const value = file.value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(file.problem([], 'expected a map with kind, name and what the kind has'))
    return undefined
  }
  const { kind, ...rest } = value as Readonly<Record<string, unknown>>
  const known = RESOURCE_KINDS.find(one => one === kind)
  const name = 'name' in rest && typeof rest.name === 'string' ? rest.name : undefined
  if (known === undefined) problems.push(file.problem(['kind'], `expected ${RESOURCE_KINDS.join(', ')}`))
  if (name === undefined) problems.push(file.problem(['name'], 'expected NAMESPACE.NAME'))
  if (known === undefined || name === undefined) return undefined
  const fault = nameFault(parsing, { kind: known, name })
  if (fault !== undefined) {
    problems.push(file.problem(['name'], fault))
    return undefined
  }
  return { kind: known, name, namespace: namespaceOf(name) ?? '', file: { ...file, value: rest } }
}

/** @throws BrokerError `managed_by_file` */
function nameFault(parsing: Parsing, of: NamedResource): string | undefined {
  const { state, options } = parsing
  if (state.rows.get(keyOf(of))?.managed_by === 'file') refuseFileManaged(parsing, of)
  if (!TEAM_NAME.test(of.name) || of.name.length > NAME_CHARS)
    return `expected NAMESPACE.NAME of lower-case letters, digits and dashes, at most ${NAME_CHARS} characters`
  const namespace = namespaceOf(of.name) ?? ''
  if (namespace === options.settings.octo_sts?.namespace)
    return `expected another namespace: what is in ${namespace} follows from trust policies`
  if (own(options.settings.namespaces, namespace) !== undefined) return undefined
  return `expected a namespace of mayfly.yaml: there is no ${namespace}`
}

const NAME_CHARS = 63
const TEAM_NAME = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/

function parsePolicy({ kind, name, file }: WantedDocument, problems: Problem[]): Resource[] {
  const { text, name: _, ...more } = file.value as { text?: unknown; name: string }
  for (const key of Object.keys(more)) problems.push(file.problem([key], 'no such key here'))
  if (typeof text === 'string' && text.trim() !== '') return [newResource(kind, name, { text })]
  problems.push(file.problem(['text'], 'expected the policy, in Cedar'))
  return []
}

function removalsOf(parsing: Parsing, wanted: readonly WantedDocument[]): ResourceChange[] {
  const { state, set } = parsing
  const kept = new Set(wanted.map(keyOf))
  const named = set.remove.map(one => {
    const row = state.rows.get(keyOf(one))
    if (row === undefined) throw new BrokerError('not_found', `no ${one.kind} ${one.name} is registered`)
    if (row.managed_by === 'file') refuseFileManaged(parsing, one)
    if (kept.has(keyOf(one)))
      throw new BrokerError('registry_invalid', `${keyOf(one)} is both wanted and to be removed`)
    return row
  })
  const pruned = [...state.rows.values()].filter(
    row => row.namespace !== null && set.prune.includes(row.namespace) && !kept.has(keyOf(row)),
  )
  const all = new Map([...named, ...pruned].map(row => [keyOf(row), row]))
  return [...all.values()].map(row => ({ state: 'removed', resource: resourceOf(row) }) as const)
}

/** What the operator lets a namespace have. @throws BrokerError `registry_invalid` */
function demandRoom({ options: { settings } }: Parsing, after: readonly Resource[]): void {
  for (const [namespace, { limits }] of Object.entries(settings.namespaces)) {
    const count = (...kinds: ResourceKind[]) =>
      after.filter(one => one.namespace === namespace && kinds.includes(one.kind)).length
    const over = [
      ['agents', count('agent'), limits.agents],
      ['instances', count('attestor', 'issuer'), limits.instances],
      ['resource servers', count('resource_server'), limits.resource_servers],
      ['policies', count('policy'), limits.policies],
    ] as const
    for (const [what, has, most] of over)
      if (has > most)
        throw new BrokerError(
          'registry_invalid',
          `the namespace ${namespace} may have ${most} ${what}, not ${has}`,
        )
  }
}
