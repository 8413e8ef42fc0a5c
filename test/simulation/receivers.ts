/** The webhooks that brokers tell: what came to them, and what they said of it. As Standard Webhooks 1.0 has it. */

import { Secret } from '../../issuers/shared/secret.ts'
import type { Webhook } from '../../src/broker/proof/deliver.ts'
import type { Network } from './network.ts'
import type { Process } from './scheduler.ts'
import type { Tally } from './tally.ts'

export type Message = { webhook: string; id: string; timestamp: string; signature: string; body: string }

/** `records` is told of receipts and approvals, `rollback` of ends when they come and of receipts. */
export const receivers = ['records', 'rollback'] as const
export const toldOfApprovals: readonly string[] = ['records']
export const toldOfEnds: readonly string[] = ['rollback']

/** Each has its own. */
export const keyOf = (webhook: string) => Buffer.from(webhook.padEnd(24, '-')).toString('base64')

/** How far a message's time may be off, as the standard's libraries have it. */
const TOLERANCE_MS = 5 * 60_000

export type Receivers = ReturnType<typeof createReceivers>

export function createReceivers(options: {
  now: () => number
  tally: Tally
  /** Told of whatever comes, before it is judged. */
  onMessage: (message: Message) => void
}) {
  const { now, tally, onMessage } = options
  const goneNow = new Set<string>()
  const taken = new Map<string, Message>()
  const sentAway = new Set<string>()

  /** @returns a status */
  function receive(message: Message): number {
    onMessage(message)
    if (goneNow.has(message.webhook)) {
      tally.fault('webhook says that it is gone')
      sentAway.add(message.id)
      return 410
    }
    if (Math.abs(now() - Number(message.timestamp) * 1_000) > TOLERANCE_MS) {
      tally.fault('webhook finds a message too old')
      return 400
    }
    tally.edge(taken.has(message.id) ? 'message taken again' : 'message taken')
    taken.set(message.id, taken.get(message.id) ?? message)
    return 204
  }

  return {
    receive,
    setGone(webhook: string, isGone: boolean) {
      if (isGone) goneNow.add(webhook)
      else goneNow.delete(webhook)
    },
    /** The first that came under this id and was taken. */
    taken: (id: string) => taken.get(id),
    wasSentAway: (id: string) => sentAway.has(id),
  }
}

/** As a broker has it in its settings. */
export function webhookNamed(name: string): Webhook {
  const secret = new Secret(`whsec_${keyOf(name)}`)
  return { name, url: `https://${name}.sim/hook`, format: 'standard', secret: async () => secret }
}

/** The way from a broker to one of them. */
export function wayTo(
  webhook: string,
  { network, receivers: { receive } }: { network: Network; receivers: Receivers },
  process: Process,
): typeof globalThis.fetch {
  return async (_, init) => {
    const headers = new Headers(init?.headers)
    const header = (name: string) => headers.get(`webhook-${name}`) ?? ''
    const [id, timestamp, signature] = [header('id'), header('timestamp'), header('signature')]
    const message = { webhook, id, timestamp, signature, body: String(init?.body) }
    const outcome = await network.post(process, webhook, () => receive(message))
    switch (outcome.is) {
      case 'answered':
        return new Response(null, { status: outcome.answer })
      case 'failed':
        return new Response(null, { status: 500 })
      case 'rate limited':
        return new Response(null, {
          status: 429,
          headers: { 'retry-after': String(outcome.retryAfterMs / 1_000) },
        })
      default:
        throw new Error(`${webhook}: ${outcome.is}`)
    }
  }
}
