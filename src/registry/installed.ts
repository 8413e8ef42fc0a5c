/**
 * What is installed in this broker: of its files since it started, and of what teams registered since this was
 * last put in. The maps stay the same objects; their content is replaced at one instant.
 */
import type { Attestor } from '../../attestors/attestor.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import type { PluginInstance, PluginLists, ResourceServer, Settings } from '../config.ts'
import type { Agent } from '../policy/agent.ts'
import type { ResourceRow } from '../store/rows.ts'
import { effective, own } from './effective.ts'
import { keyOf, type Resource, resourceOf } from './resource.ts'
import { fingerprintOf, openSecret, SECRET_PREFIX } from './secrets.ts'
import type { RegistryState } from './state.ts'

/** Opens an instance, which makes no call. What it reads, it reads through `read`. */
export type Openers = {
  attestor(name: string, instance: PluginInstance, read: (path: string) => Promise<string>): Attestor
  issuer(name: string, instance: PluginInstance, read: (path: string) => Promise<Secret>): Issuer
}

export type InstalledOptions = {
  settings: Settings
  types: PluginLists
  /** Those of the files. */
  opened: Pick<Broker, 'attestors' | 'issuers' | 'issuerDigests'>
  openers: Openers
}

export type Installed = Pick<
  Broker,
  'generation' | 'stale' | 'agents' | 'attestors' | 'issuers' | 'issuerDigests'
> & {
  resourceServers: () => ReadonlyMap<string, ResourceServer>
  /** @param stale why this broker is to mint nothing all the same */
  install(broker: Broker, state: RegistryState, stale: string | undefined): void
}

/** An instance stays open for as long as neither its row nor its secrets change. */
type Kept = { mac: string; instance: Attestor | Issuer }

export function createInstalled(options: InstalledOptions): Installed {
  const { opened, settings } = options
  const attestors = new Map(opened.attestors)
  const issuers = new Map(opened.issuers)
  const issuerDigests = new Map(opened.issuerDigests)
  let kept = new Map<string, Kept>()
  let generation = NOTHING_YET
  let stale: string | undefined = 'what is registered was not read from the ledger yet'
  let counts: Pick<ReturnType<typeof effective>, 'agents' | 'resourceServers'> = {
    agents: new Map<string, Agent>(),
    resourceServers: new Map<string, ResourceServer>(),
  }
  return {
    generation: () => generation,
    stale: () => stale,
    agents: () => counts.agents,
    resourceServers: () => counts.resourceServers,
    attestors,
    issuers,
    issuerDigests,
    install(broker, state, why) {
      const rows = [...state.rows.values()]
      const teams = openTeams(broker, state, rows, { ...options, kept })
      const next = effective(rows.map(resourceOf), { ...settings, issuers: opened.issuers })
      for (const { resource, why } of next.idle)
        broker.log.warn(
          { kind: resource.kind, name: resource.name },
          `registered, and does not count: ${why}`,
        )
      // From here on nothing can fail, and nothing else runs.
      const left = new Set([...teams.kept.values()].map(({ instance }) => instance))
      for (const { instance } of kept.values())
        if (!left.has(instance) && 'attest' in instance) instance.close?.()
      kept = teams.kept
      replace(attestors, [...opened.attestors, ...teams.attestors])
      replace(issuers, [...opened.issuers, ...teams.issuers])
      replace(
        issuerDigests,
        rows.filter(row => row.kind === 'issuer').map(row => [row.name, row.digest]),
      )
      counts = next
      generation = state.generation
      stale = why
    },
  }
}

/** No generation of any ledger. */
const NOTHING_YET = -1

function replace<Value>(map: Map<string, Value>, entries: readonly (readonly [string, Value])[]): void {
  map.clear()
  for (const [name, value] of entries) map.set(name, value)
}

type Opening = InstalledOptions & { kept: ReadonlyMap<string, Kept> }

/** One that does not open is left out, loudly: its type may be of a module that this broker does not have. */
function openTeams(broker: Broker, state: RegistryState, rows: readonly ResourceRow[], opening: Opening) {
  const attestors: [string, Attestor][] = []
  const issuers: [string, Issuer][] = []
  const digests: [string, string][] = []
  const kept = new Map<string, Kept>()
  for (const row of rows) {
    if (row.managed_by !== 'api' || (row.kind !== 'attestor' && row.kind !== 'issuer')) continue
    const resource = resourceOf(row)
    if (row.kind === 'attestor' && !isGranted(resource, opening.settings)) continue
    try {
      const before = opening.kept.get(keyOf(row))
      const instance =
        before?.mac === row.mac ? before.instance : openTeamInstance(broker, state, resource, opening)
      kept.set(keyOf(row), { mac: row.mac, instance })
      if (row.kind === 'attestor') attestors.push([row.name, instance as Attestor])
      else {
        issuers.push([row.name, instance as Issuer])
        digests.push([row.name, row.digest])
      }
    } catch (cause) {
      const { kind, name } = row
      broker.log.error({ alarm: 'instance_not_opened', kind, name, err: cause }, 'it cannot be used here')
    }
  }
  return { attestors, issuers, digests, kept }
}

/** An issuer stays open without: what it minted is still to be revoked. */
function isGranted({ namespace, document }: Resource, { namespaces }: Settings): boolean {
  const granted = namespace === null ? undefined : own(namespaces, namespace)
  return granted?.attestor_types.includes(String(document.type)) ?? false
}

/** @throws Error where its settings are not of its type, or the type refuses them */
export function openTeamInstance(
  broker: Pick<Broker, 'keyring'>,
  state: Pick<RegistryState, 'secrets'>,
  resource: Resource,
  { types, openers }: Pick<InstalledOptions, 'types' | 'openers'>,
): Attestor | Issuer {
  const { kind, name } = resource
  const instance = teamInstance(resource, types)
  const read = secretReader(broker, state, resource)
  return kind === 'attestor'
    ? openers.attestor(name, instance, read)
    : openers.issuer(name, instance, async path => new Secret(await read(path)))
}

/** @throws Error where its settings are not of its type, or nobody brings the type */
export function teamInstance(
  { kind, document }: Pick<Resource, 'kind' | 'document'>,
  types: PluginLists,
): PluginInstance {
  const known = (kind === 'attestor' ? types.attestorTypes : types.issuerTypes).find(
    ({ type }) => type === document.type,
  )
  if (known === undefined)
    throw new Error(`no module of this broker brings the type ${String(document.type)}`)
  const declared = document.settings as Readonly<Record<string, unknown>>
  const parsed = known.settings.safeParse(declared)
  if (!parsed.success) throw new Error('its settings are not what its type expects')
  return { type: known.type, settings: parsed.data, declared }
}

/** All that a team's instance can read: what was uploaded for it. Never a file of the broker's host. */
function secretReader(
  broker: Pick<Broker, 'keyring'>,
  { secrets }: Pick<RegistryState, 'secrets'>,
  { kind, name: resource, document }: Resource,
) {
  const fingerprints = (document.secrets ?? {}) as Readonly<Record<string, string>>
  return async (path: string): Promise<string> => {
    const name = path.startsWith(SECRET_PREFIX) ? path.slice(SECRET_PREFIX.length) : undefined
    const row = secrets.find(one => one.kind === kind && one.resource === resource && one.name === name)
    if (name === undefined || row === undefined)
      throw new Error('only what was uploaded with it can be read: secret:NAME')
    const value = openSecret(broker, row)
    if (!Object.hasOwn(fingerprints, name) || fingerprintOf(broker, row, value) !== fingerprints[name])
      throw new Error(`the secret ${name} in the ledger is not the one that was registered`)
    return value
  }
}
