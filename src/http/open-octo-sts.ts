/** The exchange of octo-sts, put together from the settings; nothing of it is there where these have no such section. */
import type { GithubPush } from '../../issuers/shared/github-push.ts'
import type { Broker } from '../broker/broker.ts'
import type { Settings } from '../config.ts'
import type { Facade } from '../octo-sts/facade.ts'
import { followPush } from '../octo-sts/follow-push.ts'
import { holdToSettings } from '../octo-sts/hold-to-settings.ts'
import { createPolicyFiles } from '../octo-sts/policy-files.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { createRateLimiter } from './rate-limit.ts'

export type OctoStsFacade = {
  facade: Facade
  /** Resolves when it is noted; what follows is done one push after the other. */
  pushed(push: GithubPush): Promise<void>
  /** What is under way ends; what waits is left to the exchanges that come. */
  stop(): Promise<void>
}

export async function openOctoSts(
  broker: Broker,
  { octo_sts: settings, public_url: publicUrl }: Pick<Settings, 'octo_sts' | 'public_url'>,
  registry: LiveRegistry,
): Promise<OctoStsFacade | undefined> {
  if (settings === undefined) return undefined
  const { limits, now } = broker
  const callers = createRateLimiter(limits.trustReadsPerMinutePerCaller, limits.rateSources, now)
  const owners = createRateLimiter(limits.trustReadsPerMinutePerOwner, limits.rateSources, now)
  const facade: Facade = {
    settings,
    domain: settings.domain ?? new URL(publicUrl).host,
    registry,
    files: createPolicyFiles({ limits, now }),
    admitRead(caller, owner) {
      callers.take(caller)
      owners.take(owner)
    },
  }
  // Before anybody is answered, and by a broker whose files count.
  if (broker.stale() === undefined) await holdToSettings(facade, broker)
  let stopped = false
  let following = Promise.resolve()
  return {
    facade,
    async pushed(push) {
      const follow = await followPush(facade, broker, push)
      if (follow !== undefined) following = following.then(() => (stopped ? undefined : follow()))
    },
    async stop() {
      stopped = true
      await following
    },
  }
}
