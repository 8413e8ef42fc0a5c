/** Receipts and what webhooks are told, as `src/open-proof.ts` puts them together. */
import type { Broker } from '../../src/broker/broker.ts'
import { createDeliveryQueue } from '../../src/broker/proof/deliver.ts'
import { createReceiptQueue } from '../../src/broker/proof/sign-receipts.ts'
import type { Schedule } from '../../src/broker/wake-loop.ts'
import { receivers, wayTo, webhookNamed } from './receivers.ts'
import type { Process } from './scheduler.ts'
import { fakeSignature } from './signature.ts'
import type { World } from './world.ts'

export type Proof = ReturnType<typeof openProof>

export function openProof(world: World, process: Process, broker: Broker, schedule: Schedule) {
  const deliveries = receivers.map(name =>
    createDeliveryQueue(broker, schedule, {
      webhook: webhookNamed(name),
      fetch: wayTo(name, world, process),
    }),
  )
  const tell = () => {
    for (const queue of deliveries) queue.wake()
  }
  const receipts = createReceiptQueue(broker, schedule, {
    issuer: 'https://mayfly.sim',
    sign: async (typ, claims) => fakeSignature(typ, claims),
    webhooks: receivers,
    signed: tell,
  })
  return {
    settled: receipts.wake,
    tell,
    async stop() {
      for (const queue of [receipts, ...deliveries]) await queue.stop()
    },
  }
}
