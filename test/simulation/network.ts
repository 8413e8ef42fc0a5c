/** Calls to providers and webhooks: a leg there, the effect, a leg back; each of them can be late or lost. */
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { LIMITS } from '../../src/limits.ts'
import type { Party, Profile } from './profile.ts'
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

/** What the caller learns: of all but an answer it is not known what was done. */
export type Outcome<Answer> =
  | { is: 'answered'; answer: Answer }
  | { is: 'failed' }
  | { is: 'rate limited'; retryAfterMs: number }
  | { is: 'connection refused' }
  | { is: 'no answer in time' }

/** The caller gives up after this, whatever is still under way. */
const PATIENCE_MS: Readonly<Record<Party, number>> = {
  provider: LIMITS.providerDeadlineMs,
  webhook: LIMITS.deliveryDeadlineMs,
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

  /** To a provider. @throws ProviderUnavailable where it is not known what was done */
  async function call<Answer>(
    from: Process,
    provider: string,
    operation: string,
    effect: () => Answer,
    options: CallOptions,
  ): Promise<Answer> {
    const outcome = await send(from, 'provider', `${provider} ${operation}`, provider, effect, options)
    if (outcome.is === 'answered') return outcome.answer
    const retryAfterMs = outcome.is === 'rate limited' ? outcome.retryAfterMs : undefined
    throw new ProviderUnavailable(`${provider} ${operation}: ${outcome.is}`, { retryAfterMs })
  }

  /** Of a message to a webhook, whose answer is a status. */
  function post(from: Process, webhook: string, effect: () => number): Promise<Outcome<number>> {
    return send(from, 'webhook', `${webhook} message`, webhook, effect, { isRepeatable: true })
  }

  function send<Answer>(
    from: Process,
    party: Party,
    label: string,
    to: string,
    effect: () => Answer,
    { isRepeatable, isPrompt = false }: CallOptions,
  ): Promise<Outcome<Answer>> {
    const storm = profile()
    const { promise, resolve } = Promise.withResolvers<Outcome<Answer>>()
    const tell = (ms: number, outcome: Outcome<Answer>) =>
      scheduler.after(from, ms, `${label} ${outcome.is}`, () => resolve(outcome))
    const latency = () => (storm === undefined ? 0 : chance.between(5, 400))

    tell(PATIENCE_MS[party], { is: 'no answer in time' })
    if (down.has(to)) {
      if (chance.hits(0.5)) tell(latency(), { is: 'connection refused' })
      return promise
    }
    if (storm === undefined) {
      tell(0, { is: 'answered', answer: effect() })
      return promise
    }
    const rates = storm.calls[party]
    if (chance.hits(rates.limits)) {
      tally.fault(`${party} limits the rate`)
      tell(latency(), { is: 'rate limited', retryAfterMs: chance.between(1, 60) * 1_000 })
      return promise
    }
    if (chance.hits(rates.lost)) {
      tally.fault(`${party} call lost`)
      return promise
    }
    let there = latency()
    if (chance.hits(rates.slow)) {
      tally.fault(`${party} slow`)
      there = chance.between(1_000, isPrompt ? PATIENCE_MS[party] : 240_000)
    }
    // The call has left: what becomes of its sender does not hold it up.
    scheduler.after(world, there, `${label} arrives`, () => {
      const fails = chance.hits(rates.fails)
      if (fails && chance.hits(0.5)) {
        tally.fault(`${party} failed, nothing done`)
        return void tell(latency(), { is: 'failed' })
      }
      const answer = effect()
      if (isRepeatable && chance.hits(rates.doubles)) {
        tally.fault(`${party} call doubled`)
        effect()
      }
      if (fails) {
        tally.fault(`${party} failed, all done`)
        return void tell(latency(), { is: 'failed' })
      }
      if (chance.hits(rates.replyLost)) return void tally.fault(`${party} reply lost`)
      tell(latency(), { is: 'answered', answer })
    })
    return promise
  }

  return {
    call,
    post,
    setDown(name: string, isDown: boolean) {
      if (isDown) down.add(name)
      else down.delete(name)
    },
  }
}
