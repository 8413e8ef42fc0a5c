/**
 * Tells webhooks of ends, receipts and approvals: at least once, in the form of Standard Webhooks 1.0
 * (standardwebhooks.com), so that receivers verify them with a library. What waits is in the ledger; each attempt is claimed, and its
 * number is its fence. One webhook that does not answer delays no other.
 */
import { createHmac } from 'node:crypto'
import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { readReceipt } from '../../receipts/verify-receipt.ts'
import type { DeliveryRow } from '../../store/rows.ts'
import { approvalMessage } from '../approvals/approval-message.ts'
import { backoffMs, spreadMs } from '../backoff.ts'
import type { Broker } from '../broker.ts'
import { createQueue, type Queue } from '../queue.ts'
import type { Schedule } from '../wake-loop.ts'

export type Webhook = {
  /** Its configured name. */
  name: string
  url: string
  format: 'standard' | 'slack'
  /** Read at every message, so that a new secret needs no restart. @throws Error where it is none */
  secret: () => Promise<Secret>
}

/** Bounded: a deadline, a cap on the answer, no redirects. */
type Fetch = typeof globalThis.fetch

export function createDeliveryQueue(
  broker: Broker,
  schedule: Schedule,
  { webhook, fetch }: { webhook: Webhook; fetch: Fetch },
): Queue {
  /** Passes in which nothing arrived: the webhook is left alone for longer after each. */
  let failedPasses = 0
  let pausedUntil = 0

  async function doSome(): Promise<boolean> {
    const { deliveryBatch, deliveryClaimMs } = broker.limits
    const now = await broker.ledger.now()
    if (now < pausedUntil) return false
    const rows = await broker.ledger.write(tx =>
      tx.claimDeliveries(webhook.name, deliveryBatch, tx.now + deliveryClaimMs),
    )
    if (rows.length === 0) return false
    const arrived = await Promise.all(rows.map(row => deliver(broker, webhook, fetch, row)))
    failedPasses = arrived.includes(true) ? 0 : failedPasses + 1
    if (failedPasses > 0) pausedUntil = now + backoff(broker, failedPasses)
    return failedPasses === 0
  }

  return createQueue(broker, schedule, {
    name: `webhook ${webhook.name}`,
    doSome,
    async nextDue() {
      const due = await broker.ledger.read.nextDeliveryDue(webhook.name)
      return due === null ? null : Math.max(due, pausedUntil)
    },
  })
}

/** @returns whether the webhook took it. */
async function deliver(broker: Broker, webhook: Webhook, fetch: Fetch, row: DeliveryRow): Promise<boolean> {
  const outcome = await send(broker, webhook, fetch, row)
  const subject = { actor: 'broker', task: row.task }
  if (outcome.ok) {
    await broker.ledger.write(async tx => {
      const to = { state: 'delivered', last_error: null } as const
      if (!(await tx.finishDelivery(row.id, row.attempts, to))) return
      await record(tx, 'webhook.delivered', subject, { delivery: row.id, webhook: webhook.name })
    })
    return true
  }
  const { error: last_error, retryAfterMs = 0, gone = false } = outcome
  const fields = { delivery: row.id, webhook: webhook.name, task: row.task, attempts: row.attempts }
  if (gone || row.attempts >= broker.limits.deliveryAttempts) {
    await broker.ledger.write(async tx => {
      if (!(await tx.finishDelivery(row.id, row.attempts, { state: 'dead', last_error }))) return
      await record(tx, 'webhook.dead', subject, { delivery: row.id, webhook: webhook.name, last_error })
    })
    broker.log.error({ alarm: 'webhook_dead', ...fields, last_error }, 'a webhook was not told of an end')
    return false
  }
  const wait = Math.max(
    backoff(broker, row.attempts),
    Math.min(retryAfterMs, broker.limits.deliveryBackoffCapMs),
  )
  await broker.ledger.write(tx =>
    tx.retryDelivery(row.id, row.attempts, { due_at: tx.now + wait, last_error }),
  )
  broker.log.warn({ ...fields, retry_in_ms: wait, last_error }, 'a webhook did not take a message')
  return false
}

type Sent = { ok: true } | { ok: false; error: string; retryAfterMs?: number; gone?: boolean }

async function send(broker: Broker, webhook: Webhook, fetch: Fetch, row: DeliveryRow): Promise<Sent> {
  try {
    const body = await bodyOf(broker, row, webhook.format)
    const timestamp = String(Math.floor(broker.now() / 1_000))
    const response = await fetch(webhook.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': row.id,
        'webhook-timestamp': timestamp,
        'webhook-signature': signatureOf(await webhook.secret(), `${row.id}.${timestamp}.${body}`),
      },
      body,
    })
    if (response.ok) return { ok: true }
    const seconds = response.headers.get('retry-after') ?? ''
    return {
      ok: false,
      error: `status ${response.status}`,
      gone: response.status === 410,
      ...(/^\d{1,6}$/.test(seconds) ? { retryAfterMs: Number(seconds) * 1_000 } : {}),
    }
  } catch (cause) {
    // The outbound client and the secret's reader name origins and files, never what is in them.
    const message = cause instanceof Error ? cause.message : 'unknown error'
    return { ok: false, error: message.slice(0, broker.limits.detailChars) }
  }
}

/** An end's and a receipt's is the same at every attempt; what became of an approval is told as it stands. */
async function bodyOf(broker: Broker, row: DeliveryRow, format: Webhook['format']): Promise<string> {
  if (row.event === 'task.ending') return endMessage(broker, row)
  if (row.event === 'task.ended') return receiptMessage(broker, row)
  return approvalMessage(broker, row, format)
}

async function endMessage(broker: Broker, row: DeliveryRow): Promise<string> {
  const task = await broker.ledger.read.task(row.task)
  if (task === undefined || task.ended_at === null) throw new Error('there is no end to tell of')
  const { id, agent, purpose, end, end_detail, ended_at } = task
  return JSON.stringify({
    type: row.event,
    timestamp: new Date(row.created_at).toISOString(),
    data: { task: id, agent, purpose, end, end_detail, ended_at: new Date(ended_at).toISOString() },
  })
}

async function receiptMessage(broker: Broker, row: DeliveryRow): Promise<string> {
  const stored = await broker.ledger.read.receipt(row.task)
  const receipt = stored?.jws === undefined || stored.jws === null ? undefined : readReceipt(stored.jws)
  if (stored === undefined || receipt === undefined) throw new Error('there is no receipt to tell of')
  const { id, agent, purpose, end, end_detail, ended_at, settled_at } = receipt.task
  return JSON.stringify({
    type: row.event,
    timestamp: new Date(row.created_at).toISOString(),
    data: {
      task: id,
      agent: agent.name,
      ...{ purpose, end, end_detail, ended_at, settled_at },
      summary: receipt.summary,
      receipt: stored.jws,
      receipt_sha256: stored.sha256,
    },
  })
}

/** Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 under the bytes behind `whsec_`. */
function signatureOf(secret: Secret, content: string): string {
  const key = Buffer.from(secret.reveal().slice('whsec_'.length), 'base64')
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`
}

function backoff(broker: Broker, attempts: number): number {
  const { deliveryBackoffBaseMs: baseMs, deliveryBackoffCapMs: capMs } = broker.limits
  return spreadMs(broker, backoffMs({ baseMs, capMs }, attempts))
}
