/**
 * Writes the receipts that settled tasks are owed. A task owes one from the transaction that settles it, so
 * neither a crash nor a second broker makes none or two: the signature that is stored first is the receipt.
 */
import { record } from '../../audit/record.ts'
import { RECEIPT_TYP } from '../../receipts/receipt.ts'
import { receiptHash } from '../../receipts/verify-receipt.ts'
import { writeReceipt } from '../../receipts/write-receipt.ts'
import type { LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { createQueue, type Queue } from '../queue.ts'
import { verifiedAgent } from '../verified-rows.ts'
import type { Schedule } from '../wake-loop.ts'
import { oweMessages } from './tell-webhooks.ts'

export type ReceiptOptions = {
  /** The broker's public URL. */
  issuer: string
  /** With the receipts' own key. */
  sign: (typ: string, claims: Readonly<Record<string, unknown>>) => Promise<string>
  /** Names of the webhooks that are told of every receipt. */
  webhooks: readonly string[]
  /** Called after a receipt is there. */
  signed: () => void
}

export function createReceiptQueue(broker: Broker, schedule: Schedule, options: ReceiptOptions): Queue {
  return createQueue(broker, schedule, {
    name: 'receipts',
    doSome: () => signDueReceipts(broker, options),
    nextDue: () => broker.ledger.read.nextReceiptDue(),
  })
}

/** @returns whether there may be more. */
export async function signDueReceipts(broker: Broker, options: ReceiptOptions): Promise<boolean> {
  const { receiptBatch, receiptClaimMs, receiptDeferMs } = broker.limits
  const tasks = await broker.ledger.write(tx => tx.claimReceipts(receiptBatch, tx.now + receiptClaimMs))
  // Together, so that they share a commit; none is left under way where another fails.
  const ran = await Promise.allSettled(
    tasks.map(async task => {
      try {
        if (await signReceipt(broker, task, options)) options.signed()
      } catch (error) {
        broker.log.error({ task, err: error }, 'a receipt could not be written; it is tried again')
        await broker.ledger.write(tx => tx.deferReceipt(task, tx.now + receiptDeferMs))
      }
    }),
  )
  for (const one of ran) if (one.status === 'rejected') throw one.reason
  return tasks.length > 0
}

/** @returns whether it was signed by this call. */
async function signReceipt(broker: Broker, id: string, options: ReceiptOptions): Promise<boolean> {
  const { read } = broker.ledger

  // 1. A tree is proven by its receipts' hashes, so the children's come first.
  const children: { task: string; sha256: string }[] = []
  for (const { task, sha256 } of await read.childReceipts(id)) {
    if (sha256 === null) return deferForChildren(broker, id)
    children.push({ task, sha256 })
  }

  // 2. What the ledger says. Nothing of a settled task changes any more.
  const task = await read.task(id)
  if (task === undefined) throw new Error('the task of a receipt is gone')
  const leases = await leasesOf(broker, id)
  const receipt = writeReceipt({
    ...{ issuer: options.issuer, now: await broker.ledger.now(), task, leases, children },
    owner: await ownerOf(broker, task),
    wider: leases.some(lease => lease.active_at !== null) ? await widerLeases(broker, id) : new Set(),
    credentialsMax: broker.limits.receiptCredentials,
  })

  // 3. Sign and keep; whoever is to be told is owed a message from the same transaction on.
  const jws = await options.sign(RECEIPT_TYP, receipt)
  const sha256 = receiptHash(jws)
  return broker.ledger.write(async tx => {
    if (!(await tx.signReceipt({ task: id, jws, sha256 }))) return false
    await record(tx, 'receipt.signed', { actor: 'broker', task: id, agent: task.agent }, { sha256 })
    await oweMessages(broker, tx, options.webhooks, { event: 'task.ended', task: id, about: null })
    return true
  })
}

/** The last child's receipt makes this one due; the time is for the case that the two passed each other. */
async function deferForChildren(broker: Broker, id: string): Promise<false> {
  await broker.ledger.write(async tx => {
    await tx.deferReceipt(id, tx.now + broker.limits.receiptDeferMs)
    if ((await tx.childrenWithoutReceipt(id)).length === 0) await tx.deferReceipt(id, tx.now)
  })
  return false
}

/** Oldest first. */
async function leasesOf(broker: Broker, task: string): Promise<LeaseRow[]> {
  const leases: LeaseRow[] = []
  for (let after: string | undefined; ; ) {
    const at = after === undefined ? {} : { after }
    const page = await broker.ledger.read.leases({ task }, { limit: broker.limits.pageItems, ...at })
    leases.push(...page.items)
    if (page.next === null) return leases.reverse()
    after = page.next
  }
}

/** A lease is active for a moment even where the provider gave too much; only the audit log tells the two apart. */
async function widerLeases(broker: Broker, task: string): Promise<Set<string>> {
  const wider = new Set<string>()
  for (let after: string | undefined; ; ) {
    const at = after === undefined ? {} : { after }
    const page = await broker.ledger.read.audit({ task }, { limit: broker.limits.pageItems, ...at })
    for (const { event, lease } of page.items)
      if (event === 'lease.answered_wider' && lease !== null) wider.add(lease)
    if (page.next === null) return wider
    after = page.next
  }
}

async function ownerOf(broker: Broker, task: TaskRow) {
  const agent = await broker.ledger.read.agent(task.agent)
  if (agent === undefined) return null
  const { digest } = verifiedAgent(broker, agent)
  const { owner } = JSON.parse(agent.document) as { owner: { business: string; technical: string } }
  return { ...owner, digest }
}
