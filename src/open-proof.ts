import { createDeliveryQueue } from './broker/proof/deliver.ts'
import { createReceiptQueue } from './broker/proof/sign-receipts.ts'
import type { Settings } from './config.ts'
import type { Core, Edge } from './open-core.ts'
import { openWebhooks, webhooksFor } from './open-webhooks.ts'

/** Receipts, and the webhooks that are told of them. */
export async function openProof(core: Core, settings: Settings, { schedule, kekFiles }: Edge) {
  const webhooks = await openWebhooks(settings, kekFiles)
  const deliveries = webhooks.map(webhook =>
    createDeliveryQueue(core.broker, schedule, { webhook, fetch: core.webhookFetch }),
  )
  const tell = () => {
    for (const queue of deliveries) queue.wake()
  }
  core.setTell(tell)
  const receipts = createReceiptQueue(core.broker, schedule, {
    issuer: settings.public_url,
    sign: core.receiptKeys.sign,
    webhooks: webhooksFor('task.ended', settings),
    signed: tell,
  })
  core.setSettled(receipts.wake)
  const queues = [receipts, ...deliveries]
  return {
    wake() {
      for (const queue of queues) queue.wake()
    },
    async idle() {
      for (const queue of queues) await queue.idle()
    },
    async stop() {
      await Promise.all(queues.map(queue => queue.stop()))
    },
  }
}
