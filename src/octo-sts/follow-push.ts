/**
 * A push to where trust policies stand: what is remembered of them is forgotten, and the agents that were made of them
 * are brought up to date without waiting for somebody to exchange. A push only ever narrows what is live: what is
 * wider by it is given at the next exchange.
 */
import type { GithubPush } from '../../issuers/shared/github-push.ts'
import type { Broker } from '../broker/broker.ts'
import type { Agent } from '../policy/agent.ts'
import { agentOf, type Facade, isFrom, ownerOf, parsePolicy } from './facade.ts'
import { placeIn } from './identity-agent.ts'
import { registerIdentity, withdrawIdentity } from './register-identity.ts'
import { policyPath } from './scope.ts'
import { StsRefusal } from './sts-refusal.ts'

/** @returns the work that follows, which tells its own failures; undefined where the push is of no concern */
export async function followPush(
  facade: Facade,
  broker: Broker,
  { owner, repository }: GithubPush,
): Promise<(() => Promise<void>) | undefined> {
  const settings = ownerOf(facade, owner)
  if (settings === undefined) return undefined
  await facade.files.forget(broker, owner, repository)
  const made = [...broker.agents().values()].filter(agent => isFrom(facade, agent, { owner, repository }))
  return async () => {
    for (const agent of made) {
      try {
        await bringUpToDate(facade, broker, agent)
      } catch (error) {
        // The next exchange reads the file anyway; what is live lives to the end of its task at most.
        broker.log.warn(
          { alarm: 'trust_policy_not_followed', agent: agent.name, err: error },
          'it stays as it was',
        )
      }
    }
  }
}

async function bringUpToDate(facade: Facade, broker: Broker, agent: Agent): Promise<void> {
  const at = placeIn(agent.trust?.origin ?? '')
  const { owner, identity, repository = facade.settings.organization_repository } = at
  const settings = ownerOf(facade, owner)
  if (settings === undefined) return withdrawIdentity(broker, facade.registry, agent.name)
  const place = { issuer: settings.issuer, owner, repository, path: policyPath(identity) }
  // Of GitHub's own doing and signed by it: nobody's share of reads is used up.
  const read = await facade.files.read(broker, place, () => {})
  if (read.state === 'out_of_reach') return
  if (read.state === 'missing') return withdrawIdentity(broker, facade.registry, agent.name)
  try {
    const isOrganization = at.repository === undefined
    const found = parsePolicy(broker, read.file, { identity, isOrganization })
    await registerIdentity(broker, facade.registry, agentOf(facade, broker, found, settings).document)
  } catch (error) {
    if (!(error instanceof StsRefusal)) throw error
    // It gives nothing now, by mistake or on purpose: nothing new is opened, and what is live is taken back.
    await withdrawIdentity(broker, facade.registry, agent.name)
  }
}
