/** Planted in how webhooks are told. */
import type { Ledger, LedgerWrite } from '../../../src/store/ledger.ts'
import type { Mutation } from '../mutation.ts'
import { overriding, reading, writing } from './wrap.ts'

const currentAttempt = async ({ read }: Ledger, id: string) => (await read.delivery(id))?.attempts ?? 0

/** Messages are written down after the transaction that owes them, and whoever goes in between takes them along. */
function owingLate(ledger: Ledger): Ledger {
  return {
    ...ledger,
    async write(body) {
      const late: ((tx: LedgerWrite) => Promise<unknown>)[] = []
      const value = await ledger.write(tx => {
        late.length = 0
        const insertDelivery: LedgerWrite['insertDelivery'] = async row =>
          void late.push(next => next.insertDelivery(row))
        return body(overriding(tx, { insertDelivery }))
      })
      if (late.length > 0)
        await ledger.write(async tx => {
          for (const one of late) await one(tx)
        })
      return value
    },
  }
}

export const deliveryBugs: readonly Mutation[] = [
  {
    name: 'an attempt at a webhook is recorded without its number',
    ledger: writing((tx, ledger) => ({
      async retryDelivery(id, _, to) {
        return tx.retryDelivery(id, await currentAttempt(ledger, id), to)
      },
      async finishDelivery(id, _, to) {
        return tx.finishDelivery(id, await currentAttempt(ledger, id), to)
      },
    })),
  },
  {
    name: 'a webhook that does not answer is taken for one that was told',
    ledger: writing(tx => ({
      retryDelivery: (id, attempts) =>
        tx.finishDelivery(id, attempts, { state: 'delivered', last_error: null }),
    })),
  },
  { name: 'a receipt is kept, and its messages are owed afterwards', ledger: owingLate },
  {
    name: 'of an end that takes children with it, only one is told',
    ledger: writing((tx, ledger) => ({
      async insertDelivery(row) {
        const isChild = (await ledger.read.task(row.task))?.parent != null
        if (row.event !== 'task.ending' || !isChild) await tx.insertDelivery(row)
      },
    })),
  },
  {
    name: 'a claim of a message is kept for ever',
    ledger: writing(tx => ({
      claimDeliveries: (webhook, limit) => tx.claimDeliveries(webhook, limit, Number.MAX_SAFE_INTEGER),
    })),
  },
  {
    name: 'a webhook is given up too early',
    broker: ({ limits }) => ({ limits: { ...limits, deliveryAttempts: 3 } }),
  },
  {
    name: 'what a webhook is told is not what was signed first',
    ledger: reading(read => ({
      async receipt(task) {
        const row = await read.receipt(task)
        const again = await read.receipt((await read.task(task))?.parent ?? task)
        return again?.jws == null ? row : again
      },
    })),
  },
]
