/** What webhooks are told, against what the ledger has: every message is true, and nobody is forgotten. */
import { createHash, createHmac } from 'node:crypto'
import type { Receipt } from '../../src/receipts/receipt.ts'
import type { ApprovalRow, DeliveryRow } from '../../src/store/rows.ts'
import type { Change } from './ledger/tables.ts'
import type { Committed } from './ledger/transaction.ts'
import { SIM_LIMITS } from './limits.ts'
import type { Facts } from './oracle.ts'
import { keyOf, type Message, receivers, toldOfEnds } from './receivers.ts'
import { claimsOf } from './signature.ts'

/** The longest wait between two attempts: a claim that nobody keeps, a backoff, and the queue's own pause. */
const LONGEST_WAIT_MS = 4 * 60_000

/** Whatever comes to a webhook. */
export function* messageProblems({ rows, receivers: heard }: Facts, message: Message): Generator<string> {
  const { webhook, id, timestamp, signature, body } = message
  const key = Buffer.from(keyOf(webhook), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  if (signature !== `v1,${expected}`) yield `${webhook} was told ${id}, and its signature does not verify`
  const row = rows.deliveries.get(id)
  if (row === undefined) return yield `${webhook} was told ${id}, which the ledger does not know`
  if (row.webhook !== webhook) yield `${webhook} was told ${id}, which is for ${row.webhook}`
  const said = JSON.parse(body) as { type: string; timestamp: string; data: Record<string, unknown> }
  if (said.type !== row.event || Date.parse(said.timestamp) !== row.created_at)
    yield `${id} is of another event than the ledger has`
  if (row.event !== 'task.ended' && row.event !== 'task.ending')
    return yield* approvalProblems(rows.approvals.get(row.about ?? ''), row, said.data)
  yield* (row.event === 'task.ended' ? receiptProblems : endProblems)(rows, row, said.data)
  const first = heard.taken(id)
  if (first !== undefined && first.body !== body) yield `${id} said something else when it came again`
}

function* endProblems(
  rows: Readonly<Committed>,
  { id, task: name }: DeliveryRow,
  data: Record<string, unknown>,
): Generator<string> {
  const task = rows.tasks.get(name)
  if (task === undefined || task.state === 'active')
    return yield `${id} says that ${name} ended, and it goes on`
  const { agent, purpose, end, end_detail, ended_at } = task
  yield* untrue(id, data, { task: name, agent, purpose, end, end_detail, ended_at: time(ended_at) })
}

function* receiptProblems(
  rows: Readonly<Committed>,
  { id, task: name }: DeliveryRow,
  data: Record<string, unknown>,
): Generator<string> {
  const task = rows.tasks.get(name)
  const stored = rows.receipts.get(name)
  if (task?.state !== 'settled') return yield `${id} says that ${name} ended, and it is ${task?.state}`
  if (stored?.jws == null) return yield `${id} tells of ${name}, which has no receipt`
  const { summary } = claimsOf(stored.jws) as Receipt
  const truth = {
    ...{ task: name, agent: task.agent, purpose: task.purpose, end: task.end, end_detail: task.end_detail },
    ended_at: time(task.ended_at),
    settled_at: time(task.settled_at),
    ...{ summary, receipt: stored.jws },
    receipt_sha256: createHash('sha256').update(stored.jws).digest('hex'),
  }
  yield* untrue(id, data, truth)
}

function* untrue(
  id: string,
  data: Record<string, unknown>,
  truth: Record<string, unknown>,
): Generator<string> {
  for (const [member, value] of Object.entries(truth))
    if (JSON.stringify(data[member]) !== JSON.stringify(value))
      yield `${id} says ${member}: ${data[member]}, and the ledger ${value}`
}

function* approvalProblems(
  approval: ApprovalRow | undefined,
  { id, event, about }: DeliveryRow,
  data: Record<string, unknown>,
): Generator<string> {
  if (approval === undefined) return yield `${id} tells of ${about}, which there is not`
  if (data.approval !== about || data.digest !== approval.digest)
    yield `${id} tells of another approval than ${about}`
  if (event === 'approval.decided' && (data.state === 'pending' || approval.state === 'pending'))
    yield `${id} says that ${about} was decided, and it waits`
}

export function* deliveryChecks(
  facts: Facts,
  changes: readonly Change[],
  events: ReadonlySet<string>,
  by: string,
): Generator<string> {
  for (const change of changes)
    if (change.table === 'deliveries' && change.after !== undefined)
      yield* moveChecks(facts, change.before, change.after, { events, by })
}

function* moveChecks(
  { rows, tally, attempts, receivers: heard }: Facts,
  before: DeliveryRow | undefined,
  after: DeliveryRow,
  { events, by }: { events: ReadonlySet<string>; by: string },
): Generator<string> {
  const { id, state, task, webhook } = after
  if (before === undefined) {
    tally.edge('delivery new > due')
    if (after.event === 'task.ended' && rows.receipts.get(task)?.jws == null)
      yield `${webhook} is owed a message of ${task}, which has no receipt`
    if (after.event === 'task.ending' && rows.tasks.get(task)?.state === 'active')
      yield `${webhook} is owed a message of the end of ${task}, which goes on`
    return
  }
  if (before.state !== 'due') yield `${id} was ${before.state}, and somebody moved it`
  const claimedBy = attempts.get(id)
  if (after.attempts !== before.attempts) {
    tally.edge(`delivery ${claimedBy === undefined ? 'due' : 'claimed'} > claimed`)
    attempts.set(id, by)
    return
  }
  // Two brokers never make one attempt: what another claimed later is not this one's to say.
  if (claimedBy !== by) yield `${by} says how an attempt at ${id} went, which is ${claimedBy ?? 'nobody'}'s`
  attempts.delete(id)
  if (state === 'due') return void tally.edge('delivery claimed > due')
  if (state === 'delivered') {
    tally.edge('delivery claimed > delivered')
    if (heard.taken(id) === undefined) yield `${id} is delivered, and ${webhook} never took it`
  } else {
    const isGone = heard.wasSentAway(id)
    const isTried = after.attempts >= SIM_LIMITS.deliveryAttempts
    tally.edge(`delivery claimed > dead, ${isGone ? 'told that it is gone' : 'tried often enough'}`)
    if (!isGone && !isTried) yield `${id} was given up after ${after.attempts} attempts`
  }
  if (!events.has(`webhook.${state} ${task}`)) yield `${id} is ${state}, and the audit says nothing`
}

/** Some minutes after the last fault: nobody waits for a message of before. */
export function* lateDeliveries({ rows, scheduler }: Facts): Generator<string> {
  for (const { id, webhook, state, created_at, last_error } of rows.deliveries.values())
    if (state === 'due' && created_at < scheduler.now() - LONGEST_WAIT_MS)
      yield `${webhook} waits for ${id} long after the last fault: ${last_error ?? 'no error'}`
}

/** In the end each webhook knows of each task, or it is on record that it does not. */
export function* untoldEnds({ rows, receivers: heard }: Facts): Generator<string> {
  for (const { id, webhook, state } of rows.deliveries.values())
    if (state === 'due') yield `${webhook} waits for ${id} for ever`
  const known = new Set<string>()
  for (const { id, event, task, webhook, state } of rows.deliveries.values())
    if (state === 'dead' || heard.taken(id) !== undefined) known.add(`${event} ${task} ${webhook}`)
  for (const { task, jws } of rows.receipts.values())
    for (const webhook of receivers)
      if (jws !== null && !known.has(`task.ended ${task} ${webhook}`))
        yield `${webhook} was never told that ${task} ended`
  for (const { id, state, system } of rows.tasks.values())
    for (const webhook of toldOfEnds)
      if (state !== 'active' && system === 0 && !known.has(`task.ending ${id} ${webhook}`))
        yield `${webhook} was not told of the end of ${id} when it came`
}

const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
