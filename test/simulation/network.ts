/** Calls to a provider: a leg there, the effect, a leg back; each of them can be late or lost. */
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { LIMITS } from '../../src/limits.ts'
import type { Profile } from './profile.ts'
import type { Chance } from './random.ts'
import type { Process, Scheduler } from './scheduler.ts'
import type { Tally } from './tally.ts'

export type Network = ReturnType<typeof createNetwork>

export type CallOptions = {
  /** May be done twice without harm: a delivery that the network repeats. Never a mint. */
  isRepeatable: boolean
  /** The call is only ever on its way for a short time. */
  isPrompt?: boolean
}

export function createNetwork(options: {
  scheduler: Scheduler
  chance: Chance
  tally: Tally
  world: Process
  profile: () => Profile | undefined
}) {
  const { scheduler, chance, tally, world, profile } = options
  const down = new Set<string>()

  /** @throws ProviderUnavailable where no answer comes in time, or one that says nothing of the effect */
  function call<Answer>(
    from: Process,
    provider: string,
    operation: string,
    effect: () => Answer,
    { isRepeatable, isPrompt = false }: CallOptions,
  ): Promise<Answer> {
    const storm = profile()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const label = `${provider} ${operation}`
    const fail = (why: string, ms: number, retryAfterMs?: number) =>
      scheduler.after(from, ms, `${label} ${why}`, () =>
        reject(new ProviderUnavailable(`${label}: ${why}`, { retryAfterMs })),
      )
    const answer = (ms: number, value: Answer) =>
      scheduler.after(from, ms, `${label} answered`, () => resolve(value))
    const latency = () => (storm === undefined ? 0 : chance.between(5, 400))

    // The host gives up after its deadline, whatever is still under way.
    fail('no answer in time', LIMITS.providerDeadlineMs)
    if (down.has(provider)) {
      if (chance.hits(0.5)) fail('connection refused', latency())
      return promise
    }
    if (storm === undefined) {
      answer(0, effect())
      return promise
    }
    if (chance.hits(storm.providerLimits)) {
      tally.fault('provider limits the rate')
      fail('rate limited', latency(), chance.between(1, 60) * 1_000)
      return promise
    }
    if (chance.hits(storm.providerLost)) {
      tally.fault('provider call lost')
      return promise
    }
    let there = latency()
    if (chance.hits(storm.providerSlow)) {
      tally.fault('provider slow')
      there = chance.between(1_000, isPrompt ? LIMITS.providerDeadlineMs : 240_000)
    }
    // The call has left: what becomes of its sender does not hold it up.
    scheduler.after(world, there, `${label} arrives`, () => {
      const fails = chance.hits(storm.providerFails)
      if (fails && chance.hits(0.5)) {
        tally.fault('provider failed, nothing done')
        return void fail('failed', latency())
      }
      const value = effect()
      if (isRepeatable && chance.hits(storm.providerDoubles)) {
        tally.fault('provider call doubled')
        effect()
      }
      if (fails) {
        tally.fault('provider failed, all done')
        return void fail('failed', latency())
      }
      if (chance.hits(storm.providerReplyLost)) return void tally.fault('provider reply lost')
      answer(latency(), value)
    })
    return promise
  }

  return {
    call,
    setDown(provider: string, isDown: boolean) {
      if (isDown) down.add(provider)
      else down.delete(provider)
    },
  }
}
