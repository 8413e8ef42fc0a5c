/** One registration: everything in one transaction, and one generation more; or nothing, where others came first. */
import { record } from '../audit/record.ts'
import { agentChanges, putAgents } from '../broker/agents/register-agents.ts'
import type { Broker } from '../broker/broker.ts'
import { registryMac, resourceMac } from '../broker/verified-rows.ts'
import { canonicalJson } from '../canonical.ts'
import type { Settings } from '../config.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import type { RegistryRow, ResourceRow, ResourceSecretRow } from '../store/rows.ts'
import { effective } from './effective.ts'
import { keyOf, type Resource, resourceOf } from './resource.ts'
import { digestOfRows, type RegistryState } from './state.ts'

export type ResourceChange = { state: 'registered' | 'removed'; resource: Resource }

export type Registration = {
  changes: readonly ResourceChange[]
  managedBy: 'file' | 'api'
  /** Of the files that come into force with it. */
  files?: { digest: string; version: number }
  secrets?: readonly ResourceSecretRow[]
  actor: string
  reason: string
  /** Runs in the transaction when everything is locked; throws where it must not be. */
  check?: (tx: LedgerWrite) => Promise<void>
  /** What the audit log says of the whole. */
  audit: { event: 'configuration.registered' | 'registry.applied'; data: Readonly<Record<string, unknown>> }
}

/**
 * @param settings those by whose namespaces the result counts
 * @returns the new generation, and the names of agents that changed; undefined where another registration was
 * committed after `state` was read.
 */
export async function commit(
  broker: Broker,
  state: RegistryState,
  registration: Registration,
  settings: Pick<Settings, 'namespaces'>,
): Promise<{ generation: number; agents: string[] } | undefined> {
  const { changes, files, secrets = [], actor, reason, audit } = registration
  const generation = state.generation + 1
  const latest = await latestVersions(broker, changes)
  const after = afterwards(state, changes)
  const { issuers } = broker
  const wanted = effective(after, { ...settings, issuers }).agents
  const agents = agentChanges(await broker.ledger.read.agents(), wanted)
  const narrowed = changes.some(({ resource }) => JUDGED_BY.has(resource.kind))

  const done = await broker.ledger.write(async tx => {
    const head = await tx.lockRegistry()
    if ((head?.generation ?? 0) !== state.generation) return undefined
    // What is judged by more than the agent itself waits for those who were judged by what was before.
    if (narrowed) await tx.awaitMints()
    await registration.check?.(tx)

    const rows = new Map(state.rows)
    for (const change of changes) {
      const row = toRow(broker, change, { ...registration, generation, latest, now: tx.now })
      await putRow(tx, row, registration)
      if (row.state === 'registered') rows.set(keyOf(row), row)
      else rows.delete(keyOf(row))
    }
    for (const secret of secrets) await tx.putResourceSecret({ ...secret, at: tx.now })
    await putAgents(broker, tx, agents, actor)
    if (files !== undefined) await tx.putFileSet({ ...files, generation, at: tx.now })
    const unsigned: Omit<RegistryRow, 'mac'> = {
      generation,
      resources_digest: digestOfRows(rows.values()),
      files_digest: files?.digest ?? head?.files_digest ?? null,
      changed_at: tx.now,
    }
    await tx.setRegistry({ ...unsigned, mac: registryMac(broker, unsigned) })
    await record(tx, audit.event, { actor }, { generation, reason, ...audit.data })
    return { generation, agents: [...agents.changed, ...agents.gone].map(one => one.name) }
  })
  // An agent of another build is in quarantine from here on: what it holds above reading is due.
  if (done !== undefined && done.agents.length > 0) broker.wake()
  return done
}

/** What requests are judged by beside their agent. */
const JUDGED_BY: ReadonlySet<string> = new Set(['attestor', 'issuer', 'policy'])

/** Everything that is registered once the changes are made. */
export function afterwards(state: RegistryState, changes: readonly ResourceChange[]): Resource[] {
  const after = new Map([...state.rows].map(([key, row]) => [key, resourceOf(row)]))
  for (const { state: becomes, resource } of changes) {
    if (becomes === 'registered') after.set(keyOf(resource), resource)
    else after.delete(keyOf(resource))
  }
  return [...after.values()]
}

/** Also of those that were removed: a version is never used twice. */
async function latestVersions(
  { ledger }: Pick<Broker, 'ledger'>,
  changes: readonly ResourceChange[],
): Promise<Map<string, number>> {
  const latest = new Map<string, number>()
  for (const { resource } of changes) {
    const row = await ledger.read.resource(resource.kind, resource.name)
    latest.set(keyOf(resource), row?.version ?? 0)
  }
  return latest
}

function toRow(
  broker: Pick<Broker, 'keyring'>,
  { state, resource }: ResourceChange,
  made: Pick<Registration, 'managedBy' | 'actor' | 'reason'> & {
    generation: number
    latest: ReadonlyMap<string, number>
    now: number
  },
): ResourceRow {
  const unsigned: Omit<ResourceRow, 'mac'> = {
    kind: resource.kind,
    name: resource.name,
    version: (made.latest.get(keyOf(resource)) ?? 0) + 1,
    namespace: resource.namespace,
    managed_by: made.managedBy,
    state,
    current: 1,
    document: canonicalJson(resource.document),
    digest: resource.digest,
    generation: made.generation,
    actor: made.actor,
    reason: made.reason,
    at: made.now,
  }
  return { ...unsigned, mac: resourceMac(broker, unsigned) }
}

async function putRow(
  tx: LedgerWrite,
  row: ResourceRow,
  { actor, reason }: Pick<Registration, 'actor' | 'reason'>,
): Promise<void> {
  const { kind, name, version, digest, state } = row
  await tx.putResource(row)
  const { secrets } = JSON.parse(row.document) as { secrets?: Readonly<Record<string, string>> }
  const kept = state === 'removed' ? [] : Object.keys(secrets ?? {})
  if (row.managed_by === 'api') await tx.deleteResourceSecrets(kind, name, kept)
  const event = state === 'registered' ? 'resource.registered' : 'resource.removed'
  const about = { actor, ...(kind === 'agent' ? { agent: name } : {}) }
  await record(tx, event, about, { kind, name, version, digest, reason })
}
