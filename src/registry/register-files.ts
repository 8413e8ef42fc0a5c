/**
 * A broker's files, put in force. What was superseded by other files is not put back by a broker that merely
 * starts with it: it may have been left behind.
 */

import { agentChanges } from '../broker/agents/register-agents.ts'
import type { Broker } from '../broker/broker.ts'
import type { Settings } from '../config.ts'
import type { FileSetRow } from '../store/rows.ts'
import { commit, type ResourceChange } from './commit.ts'
import { effective } from './effective.ts'
import type { FileSet } from './files.ts'
import { keyOf, resourceOf } from './resource.ts'
import { type RegistryState, readState } from './state.ts'

export type FilesOutcome =
  /** `agents`: those that changed or are gone. */
  { inForce: true; agents: readonly string[] } | { inForce: false; why: string }

/**
 * @param isAlone whether the ledger is this broker's alone: whatever its files are, they are to be in force.
 * @param replaces the files that this broker had until now: where those are in force, its operator has just
 * replaced them, be it by older ones.
 */
export async function registerFiles(
  broker: Broker,
  files: FileSet,
  {
    settings,
    isAlone,
    replaces,
  }: { settings: Pick<Settings, 'namespaces'>; isAlone: boolean; replaces: string | undefined },
): Promise<FilesOutcome> {
  for (let left = broker.limits.registerTries; left > 0; left--) {
    const state = await readState(broker)
    const inForce = state.head?.files_digest
    const isNew = inForce !== files.digest
    if (isNew && !isAlone && inForce !== replaces) {
      const why = await whySuperseded(broker, state, files)
      if (why !== undefined) return { inForce: false, why }
    }
    const changes = changesOf(state, files)
    if (!isNew && changes.length === 0 && (await hasAgents(broker, state, settings)))
      return { inForce: true, agents: [] }
    const { digest, version } = files
    const done = await commit(
      broker,
      state,
      {
        ...{ changes, managedBy: 'file', actor: 'broker', reason: 'configuration files' },
        files: { digest, version },
        audit: { event: 'configuration.registered', data: { files: digest, changes: changes.length } },
      },
      settings,
    )
    if (done !== undefined) return { inForce: true, agents: done.agents }
  }
  throw new Error('the registry is changed by others again and again; try again')
}

/** Undefined where they were never in force before, and are not older than those that are. */
async function whySuperseded(
  { ledger }: Pick<Broker, 'ledger'>,
  { head }: RegistryState,
  { digest, version }: FileSet,
): Promise<string | undefined> {
  if (head?.files_digest === undefined || head.files_digest === null) return undefined
  const inForce = await ledger.read.fileSet(head.files_digest)
  const before = await ledger.read.fileSet(digest)
  if (inForce === undefined || version > inForce.version) return undefined
  return version === inForce.version && before === undefined ? undefined : superseded(inForce)
}

/** What a caller and the log are told. */
export function superseded({ digest, at }: Pick<FileSetRow, 'digest' | 'at'>): string {
  return (
    `this broker's files are not those in force (${digest.slice(0, 12)}, since ${new Date(at).toISOString()}): ` +
    'bring them up to date and reload it, or raise configuration_version in mayfly.yaml to go back to them'
  )
}

function changesOf({ rows }: RegistryState, { resources }: FileSet): ResourceChange[] {
  const wanted = new Set(resources.map(keyOf))
  const changed = resources.filter(one => rows.get(keyOf(one))?.digest !== one.digest)
  const gone = [...rows.values()].filter(row => row.managed_by === 'file' && !wanted.has(keyOf(row)))
  return [
    ...changed.map(resource => ({ state: 'registered', resource }) as const),
    ...gone.map(row => ({ state: 'removed', resource: resourceOf(row) }) as const),
  ]
}

/** Whether the agents that mints are judged against are the registered ones. */
async function hasAgents(
  { ledger, issuers }: Broker,
  { rows }: RegistryState,
  settings: Pick<Settings, 'namespaces'>,
): Promise<boolean> {
  const { agents } = effective([...rows.values()].map(resourceOf), { ...settings, issuers })
  const { changed, gone } = agentChanges(await ledger.read.agents(), agents)
  return changed.length + gone.length === 0
}
