/**
 * What is registered already, held to the settings that a broker starts with: narrower ceilings, other attestors and
 * owners that are gone count at once, without asking the provider. What is wider by them comes with the next exchange.
 */
import type { Broker } from '../broker/broker.ts'
import type { OctoStsOwner } from '../config/octo-sts.ts'
import type { Agent, AgentDocument } from '../policy/agent.ts'
import { effectiveRights } from './effective-rights.ts'
import { type Facade, ownerOf } from './facade.ts'
import { identityAgent, placeIn } from './identity-agent.ts'
import { registerIdentity, withdrawIdentity } from './register-identity.ts'

export async function holdToSettings(facade: Facade, broker: Broker): Promise<void> {
  for (const agent of [...broker.agents().values()]) {
    if (agent.trust === undefined) continue
    const settings = ownerOf(facade, placeIn(agent.trust.origin).owner)
    const document = settings === undefined ? undefined : heldTo(broker, agent, settings)
    if (document === undefined) await withdrawIdentity(broker, facade.registry, agent.name)
    else await registerIdentity(broker, facade.registry, document)
  }
}

type Held = { repositories: { id?: number; name?: string }[]; permissions: AgentPermissions }
type AgentPermissions = Parameters<typeof effectiveRights>[0]['permissions']

/** Undefined where nothing of it is left. */
function heldTo(
  broker: Pick<Broker, 'issuers'>,
  agent: Agent,
  settings: OctoStsOwner,
): AgentDocument | undefined {
  const place = placeIn(agent.trust!.origin)
  const held = agent.ceiling[settings.issuer]?.[0] as Held | undefined
  if (held === undefined) return undefined
  const names = held.repositories.flatMap(({ name }) =>
    name === undefined ? [] : [name.split('/')[1] ?? ''],
  )
  const at = { owner: place.owner, repository: '', repositoryId: 0, isOrganization: true }
  const effective = effectiveRights(
    { permissions: held.permissions, repositories: names },
    at,
    settings.ceiling,
  )
  if (!effective.ok) return undefined
  const kept = new Set(effective.rights.repositories.map(({ name }) => name))
  const repositories = held.repositories.filter(({ name }) => name !== undefined && kept.has(name))
  const parsed = broker.issuers
    .get(settings.issuer)
    ?.ask.safeParse({ repositories, permissions: effective.rights.permissions })
  if (parsed?.success !== true) return undefined
  const { attestors, events } = settings
  const trust = { ...agent.trust!, attestors, events }
  return identityAgent(agent.name, place, trust, { settings, ceiling: parsed.data })
}
