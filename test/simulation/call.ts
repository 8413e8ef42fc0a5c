/** A client's call to a broker: there, the use case, and back; either leg may be lost. */
import { ApprovalPending } from '../../src/broker/approvals/ask-approval.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { BrokerError, type ErrorCode } from '../../src/broker/broker-error.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import { LedgerUnavailable } from '../../src/store/ledger.ts'
import type { Host } from './host.ts'
import type { Chance } from './random.ts'
import type { World } from './world.ts'

export type Reply<T> =
  | { is: 'answer'; value: T }
  | { is: 'refusal'; code: ErrorCode; ask?: string }
  | { is: 'lost' }

const PATIENCE_MS = 40_000

/** `onAnswer` is run at the moment at which the answer leaves the broker. */
export async function call<T>(
  world: World,
  chance: Chance,
  name: string,
  run: (broker: Broker, host: Host) => Promise<T>,
  onAnswer: (value: T) => void = () => {},
): Promise<Reply<T>> {
  const { scheduler, clients } = world
  const ready = world.hosts.filter(host => host.isReady && !host.process.isGone && isOnTime(host))
  if (ready.length === 0) {
    await scheduler.wait(clients, chance.between(500, 3_000), `${name}: nobody there`)
    return { is: 'lost' }
  }
  const host = chance.pick(ready)
  const { promise, resolve } = Promise.withResolvers<Reply<T>>()
  const forget = scheduler.after(clients, PATIENCE_MS, `${name}: no answer`, () => resolve({ is: 'lost' }))
  const back = (reply: Reply<T>) => {
    if (world.strikes('answer to a client lost', chance, 'answerLost')) return
    scheduler.after(clients, chance.between(1, 50), `${name}: ${reply.is}`, () => {
      forget()
      resolve(reply)
    })
  }
  scheduler.after(host.process, chance.between(1, 50), `${name} arrives`, () => {
    withFreshConfiguration(host.broker, broker => run(broker, host)).then(
      value => {
        onAnswer(value)
        back({ is: 'answer', value })
      },
      error => back(told(world, name, error)),
    )
  })
  const reply = await promise
  scheduler.note(`${name} ${reply.is} ${reply.is === 'refusal' ? reply.code : ''}`)
  return reply
}

/** A broker too far from the ledger's clock is not ready: nobody sends it anything. */
const isOnTime = (host: Host) => Math.abs(host.clockAhead) <= 2_000

function told(world: World, name: string, error: unknown): Reply<never> {
  if (error instanceof BrokerError) {
    world.tally.refusal(error.code)
    const waits = error instanceof ApprovalPending ? { ask: error.ask } : {}
    return { is: 'refusal', code: error.code, ...waits }
  }
  if (error instanceof LedgerUnavailable) {
    world.tally.refusal('ledger_unavailable')
    return { is: 'refusal', code: 'ledger_unavailable' }
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  world.oracle.fail(`${name} failed with what no client can be told: ${text}`)
  return { is: 'lost' }
}
