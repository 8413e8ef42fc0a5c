/**
 * What teams have registered at a broker, for the commands that judge policies: their policies, agents, attestors
 * and issuers, as far as the operator who asks may read them.
 */
import { z } from 'zod'
import { attestorOpener, issuerOpener } from '../open-plugins.ts'
import { effective, mayUse, namedInstance } from '../registry/effective.ts'
import { teamInstance } from '../registry/installed.ts'
import { newResource, type Resource } from '../registry/resource.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { type FileInstallation, type Installation, offline, withVocabulary } from './policy-set.ts'
import { CommandError, type Terminal } from './terminal.ts'

export type RegisteredOptions = BrokerOption & OperatorTokenOption & { registered?: boolean }

const KINDS = ['policy', 'agent', 'issuer', 'attestor'] as const
const PLURALS = { policy: 'policies', agent: 'agents', issuer: 'issuers', attestor: 'attestors' }

const page = z.looseObject({
  items: z.array(
    z.looseObject({
      name: z.string(),
      managed_by: z.string(),
      document: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
})

/** @returns the installation as its files say, with what teams have registered where that is asked for */
export async function withRegistered(
  terminal: Terminal,
  installation: FileInstallation,
  options: RegisteredOptions,
): Promise<Installation> {
  if (options.registered !== true) return installation
  const resources = await readRegistered(terminal, options)
  const many = KINDS.map(kind => `${PLURALS[kind]}: ${resources.filter(one => one.kind === kind).length}`)
  terminal.err(`With what teams have registered, as far as you may read it (${many.join(', ')}).\n`)
  const { settings } = installation.loaded
  const opened = await openRegistered(terminal, installation, resources)
  const shared = [
    ...Object.entries(settings.attestors).map(([name, { type }]) => newResource('attestor', name, { type })),
    ...Object.entries(settings.issuers).map(([name, { type }]) => newResource('issuer', name, { type })),
  ]
  const judged = { ...settings, issuers: installation.issuers }
  return withVocabulary({
    ...{ settings, ...opened },
    agents: [...installation.agents, ...effective([...shared, ...resources], judged).agents.values()],
    registered: resources
      .filter(({ kind }) => kind === 'policy')
      .map(({ name, namespace, document }) => ({
        ...{ name: `${name}.cedar`, text: String(document.text) },
        ...(namespace === null ? {} : { namespace }),
      })),
  })
}

async function readRegistered(terminal: Terminal, options: RegisteredOptions): Promise<Resource[]> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const resources: Resource[] = []
  for (const kind of KINDS) {
    const path = `/v1/registry/${kind}`
    const { items } = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, page)
    for (const { name, managed_by, document } of items)
      if (managed_by === 'api' && document !== undefined) resources.push(newResource(kind, name, document))
  }
  return resources
}

/** An attestor counts where its namespace may have one; issuers stay for what they minted, as in a broker. */
async function openRegistered(
  terminal: Terminal,
  { loaded, attestors, issuers, attestorTypes }: FileInstallation,
  resources: readonly Resource[],
): Promise<Pick<Installation, 'attestors' | 'issuers' | 'attestorTypes'>> {
  const edge = await terminal.edge()
  const open = {
    attestor: attestorOpener({ ...loaded, ...edge, fetch: offline.get }),
    issuer: issuerOpener(loaded, edge, offline),
  }
  const all = {
    attestors: new Map(attestors),
    issuers: new Map(issuers),
    attestorTypes: new Map(attestorTypes),
  }
  for (const resource of resources) {
    const { kind, name, namespace } = resource
    if (kind !== 'attestor' && kind !== 'issuer') continue
    if (kind === 'attestor' && !mayUse(namespace, namedInstance(resource), kind, loaded.settings)) continue
    try {
      const instance = teamInstance(resource, loaded)
      if (kind === 'issuer') all.issuers.set(name, open.issuer(name, instance, offline.read))
      else {
        all.attestors.set(name, open.attestor(name, instance, offline.read))
        all.attestorTypes.set(name, instance.type)
      }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it does not open'
      throw new CommandError(`the ${kind} ${name}, which a team registered, cannot be opened here: ${why}`, {
        cause,
      })
    }
  }
  return all
}
