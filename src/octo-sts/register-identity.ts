/** Identities as registered agents: put into the registry on first use and when their file changed, and taken out again. */
import type { Broker } from '../broker/broker.ts'
import type { AgentDocument } from '../policy/agent.ts'
import { commit, type Registration, type ResourceChange } from '../registry/commit.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { keyOf, newResource, type Resource, resourceOf } from '../registry/resource.ts'
import { type RegistryState, readState } from '../registry/state.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'

/** Who, in the audit log and in each version. */
const ACTOR = 'octo-sts'

/**
 * Resolves when the agent is registered as this document says, here and in the ledger.
 * @throws StsRefusal where its namespace is full
 */
export async function registerIdentity(
  broker: Broker,
  registry: LiveRegistry,
  document: AgentDocument,
): Promise<void> {
  const resource = newResource('agent', document.name, document)
  if (broker.agents().get(document.name)?.digest === resource.digest) return
  await change(broker, registry, state => {
    const before = state.rows.get(keyOf(resource))
    if (before?.digest === resource.digest) return undefined
    if (before === undefined) demandRoom(state, resource, registry)
    const origin = document.trust?.origin ?? ''
    const reason = `the trust policy of ${origin} ${before === undefined ? 'was used first' : 'changed'}`
    return { resource: { state: 'registered', resource }, reason }
  })
}

/** What it holds is revoked: its policy is gone. */
export async function withdrawIdentity(broker: Broker, registry: LiveRegistry, name: string): Promise<void> {
  if (!broker.agents().has(name)) return
  await change(broker, registry, state => {
    const before = state.rows.get(`agent/${name}`)
    if (before === undefined) return undefined
    return {
      resource: { state: 'removed', resource: resourceOf(before) },
      reason: 'its trust policy gives nothing any more',
    }
  })
}

type Wanted = { resource: ResourceChange; reason: string }

async function change(
  broker: Broker,
  registry: LiveRegistry,
  plan: (state: RegistryState) => Wanted | undefined,
): Promise<void> {
  const { settings } = registry.options
  for (let left = broker.limits.trustRegisterTries; left > 0; left--) {
    const state = await readState(broker)
    const wanted = plan(state)
    if (wanted === undefined) break
    const { name, namespace } = wanted.resource.resource
    const registration: Registration = {
      ...{ changes: [wanted.resource], managedBy: 'api', actor: ACTOR, reason: wanted.reason },
      audit: { event: 'registry.applied', data: { agent: name, namespaces: [namespace] } },
    }
    if ((await commit(broker, state, registration, settings)) !== undefined) break
    if (left === 1)
      throw new StsRefusal(GRPC.unavailable, 'the registry is changed by others again and again; try again')
  }
  await registry.follow()
}

function demandRoom(state: RegistryState, { namespace }: Resource, { options }: LiveRegistry): void {
  const most = options.settings.namespaces[namespace ?? '']?.limits.agents ?? 0
  const agents = [...state.rows.values()].filter(row => row.kind === 'agent' && row.namespace === namespace)
  if (agents.length < most) return
  throw new StsRefusal(
    GRPC.resourceExhausted,
    `this Mayfly has room for ${most} identities of octo-sts, and they are all taken: its operator can raise namespaces.${namespace}.limits.agents`,
  )
}
