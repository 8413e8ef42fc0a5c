/**
 * Two use cases of two brokers that really overlap: the first is held between its last statement and its
 * COMMIT until the second waits for it, or is done without having to. What it would send with COMMIT is sent before,
 * so that it holds its locks; `unsent`: it is not, as in life.
 */
import type { Broker } from '../../src/broker/broker.ts'
import type { LedgerWrite } from '../../src/store/ledger.ts'
import { until } from './until.ts'

export type Overlap<A, B> = {
  first: PromiseSettledResult<A>
  second: PromiseSettledResult<B>
  waited: boolean
}

/**
 * @param at the ledger operation by which the transaction to be held is known
 * @param waiting how many transactions wait for a lock
 */
export async function overlap<A, B>(
  [holder, at, first]: readonly [Broker, keyof LedgerWrite, (broker: Broker) => Promise<A>],
  second: () => Promise<B>,
  waiting: () => Promise<number>,
  { unsent = false }: { unsent?: boolean } = {},
): Promise<Overlap<A, B>> {
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const held = heldAt(holder, at, async tx => {
    // Whatever is asked takes along what waits to be sent.
    if (!unsent) await tx.lockAsk('none')
    reached.resolve()
    await gate.promise
  })
  const one = first(held)
  // Whoever fails before the gate would never reach it.
  await Promise.race([reached.promise, one.catch(() => {})])
  let done = false
  const two = second().finally(() => {
    done = true
  })
  two.catch(() => {})
  let waited = false
  await until(async () => {
    waited = (await waiting()) > 0
    return waited || done
  })
  gate.resolve()
  const [a, b] = await Promise.allSettled([one, two])
  return { first: a, second: b, waited }
}

function heldAt(broker: Broker, at: keyof LedgerWrite, hold: (tx: LedgerWrite) => Promise<void>): Broker {
  const { ledger } = broker
  return {
    ...broker,
    ledger: {
      ...ledger,
      write: body =>
        ledger.write(async tx => {
          const used = new Set<PropertyKey>()
          const seen = new Proxy(tx, {
            get(target, name) {
              used.add(name)
              return Reflect.get(target, name)
            },
          })
          const value = await body(seen)
          if (used.has(at)) await hold(tx)
          return value
        }),
    },
  }
}
