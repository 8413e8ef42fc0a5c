/** Stores that break one rule each: the suite is worth what it catches. */
import { expect, test } from 'vitest'
import type { LedgerRead, LedgerWrite } from '../../src/store/ledger.ts'
import { openSqliteSubject } from '../store/open.ts'
import { runStoreCheck, type StoreSubject, storeChecks } from './store.ts'

type Broken = {
  store: string
  /** The check that must find it. */
  caughtBy: string
  breakIt: (subject: StoreSubject) => StoreSubject
}

const broken: Broken[] = [
  {
    store: 'activates a lease that is no longer intended',
    caughtBy: 'only an intended lease becomes active',
    breakIt: writing(tx => ({
      activateLease: async (id, to) => {
        await tx.activateLease(id, to)
        return true
      },
    })),
  },
  {
    store: 'says it ended a task that had ended before',
    caughtBy: 'a task ends once: of two who end it one wins, and its end stays',
    breakIt: writing(tx => ({
      endTasks: async (ids, end, detail) => {
        await tx.endTasks(ids, end, detail)
        return (await Promise.all(ids.map(id => tx.lockLineage(id, 'update')))).flatMap(line =>
          line.slice(-1),
        )
      },
    })),
  },
  {
    store: 'settles a task that holds open leases',
    caughtBy: 'a task settles when it is ended and holds no open lease, and not before',
    breakIt: writing(() => ({ settleTasks: async ids => [...ids] })),
  },
  {
    store: 'locks a line from the leaf up',
    caughtBy: 'a line is read and locked root first, the task last',
    breakIt: writing(tx => ({
      lockLineage: async (task, lock) => (await tx.lockLineage(task, lock)).reverse(),
    })),
  },
  {
    store: 'forgets the grandchildren',
    caughtBy: 'a descent is the task and everything below it, ended or not, and nothing beside it',
    breakIt: writing(tx => ({ lockDescent: async task => (await tx.lockDescent(task)).slice(0, 2) })),
  },
  {
    store: 'claims the soonest dead first',
    caughtBy:
      'a claim takes what is due of one issuer, longest remaining provider life first, within the limit',
    breakIt: writing(tx => ({
      claimDue: async (issuer, limit, until) => (await tx.claimDue(issuer, limit, until)).reverse(),
    })),
  },
  {
    store: 'claims without holding',
    caughtBy: 'two who claim at once share nothing',
    breakIt: writing(tx => ({
      claimDue: async (issuer, limit) => tx.claimDue(issuer, limit, tx.now),
    })),
  },
  {
    store: 'closes with an older fence',
    caughtBy: 'a claim raises the fence and holds until its time, then another takes it with a higher one',
    breakIt: writing(tx => ({ closeLease: async (id, _, to) => tx.closeLease(id, null, to) })),
  },
  {
    store: 'closes from any state',
    caughtBy: 'a lease closes once, from the states that were named',
    breakIt: writing(tx => ({
      closeLease: async (id, fence, { from: _, ...to }) => tx.closeLease(id, fence, to),
    })),
  },
  {
    store: 'keeps the secret of a closed lease',
    caughtBy: 'closing deletes the secret and what made the lease due, and keeps how it ended',
    breakIt: writing(tx => ({
      closeLease: async (id, fence, to) => {
        const closed = await tx.closeLease(id, fence, to)
        return closed && { ...closed, sealed_secret: new Uint8Array([1, 2, 3]) }
      },
    })),
  },
  {
    store: 'revokes at once what only expiry ends',
    caughtBy:
      'revoking is due now, at dead_by where it was intended, at the provider’s expiry where only that helps',
    breakIt: writing(tx => ({
      revokeLeasesOf: async tasks =>
        (await tx.revokeLeasesOf(tasks)).map(row => ({ ...row, due_at: tx.now })),
    })),
  },
  {
    store: 'leaves a late secret to a claim made without it',
    caughtBy: 'a late secret takes the lease from whoever claimed it without one',
    breakIt: writing(tx => ({
      attachSecret: async (id, secret) => {
        const attached = await tx.attachSecret(id, secret)
        await tx.claimDue('github', 1, tx.now + 60_000)
        return attached
      },
    })),
  },
  {
    store: 'holds a claim that was given back',
    caughtBy: 'a retry gives the claim back with a new due time',
    breakIt: writing(() => ({ retryLease: async () => true })),
  },
  {
    store: 'swaps a named value whatever it was',
    caughtBy: 'of several that put a named value in the place of the same one, one does',
    breakIt: writing(tx => ({
      swapMeta: async (key, _, to) => {
        await tx.setMeta(key, to)
        return true
      },
    })),
  },
  {
    store: 'lets two hold one claim',
    caughtBy: 'a named claim has one holder until its time, and a fence that only goes up',
    breakIt: writing(tx => ({ takeClaim: async name => tx.takeClaim(name, tx.now) })),
  },
  {
    store: 'takes a claim back from whoever has it',
    caughtBy: 'a named claim has one holder until its time, and a fence that only goes up',
    breakIt: writing(tx => ({
      giveClaim: async (name, fence, to) =>
        (await tx.giveClaim(name, fence, to)) || tx.giveClaim(name, fence + 1, to),
    })),
  },
  {
    store: 'forgets of a group whoever is closed',
    caughtBy:
      'a group is whoever was taken back and may still be alive, the told first, then the latest issued',
    breakIt: reading(read => ({
      revokedInGroup: async (issuer, group, since, limit) =>
        (await read.revokedInGroup(issuer, group, since, limit)).filter(row => row.state !== 'closed'),
    })),
  },
  {
    store: 'takes every use of evidence for the first',
    caughtBy: 'evidence is used once; the second use is told of the first',
    breakIt: writing(tx => ({
      useEvidence: async row => {
        await tx.useEvidence(row)
        return undefined
      },
    })),
  },
  {
    store: 'redeems a ticket past its time',
    caughtBy: 'a ticket is redeemed once, before its time is past',
    breakIt: writing(tx => ({
      insertTicket: async row => tx.insertTicket({ ...row, expires_at: row.expires_at + 3_600_000 }),
    })),
  },
  {
    store: 'gives one more than the budget',
    caughtBy: 'a budget gives what there is, however many ask at once, and takes back',
    breakIt: writing(tx => ({
      takeBudget: async (key, limit, until) => tx.takeBudget(key, limit + 1, until),
    })),
  },
  {
    store: 'holds one more than the budget',
    caughtBy: 'what is held counts as long as it is held, and never above the limit',
    breakIt: writing(tx => ({
      holdBudget: async (hold, limit, until) => tx.holdBudget(hold, limit + 1, until),
    })),
  },
  {
    store: 'gives back all that was held, whatever of it was used',
    caughtBy: 'of an amount in time the part is given back that lies beyond the cut, once',
    breakIt: writing(tx => ({ cutHolds: async holders => tx.cutHolds(holders, 0) })),
  },
  {
    store: 'prunes without a bound',
    caughtBy: 'pruning forgets what is past its time and nothing else, within its bound',
    breakIt: writing(tx => ({ prune: async limit => tx.prune(limit + 100) })),
  },
  {
    store: 'stamps by another clock',
    caughtBy: 'the clock is the ledger’s, and stands still within a body',
    breakIt: writing(tx => ({ now: tx.now + 1 })),
  },
  {
    store: 'keeps what a failed body did',
    caughtBy: 'a body that throws leaves nothing, and its own error comes back',
    breakIt: subject => ({
      ...subject,
      ledger: {
        ...subject.ledger,
        async write(body) {
          const outcome = await subject.ledger.write(tx =>
            body(tx).then(
              value => ({ value }),
              error => ({ error }),
            ),
          )
          if ('error' in outcome) throw outcome.error
          return outcome.value
        },
      },
    }),
  },
  {
    store: 'reads what is not committed',
    caughtBy: 'a read never sees what is not committed',
    breakIt: subject => {
      const early = new Map<string, Awaited<ReturnType<LedgerRead['agent']>>>()
      const writes = writing(tx => ({
        putAgent: async row => {
          await tx.putAgent(row)
          const put = await tx.lockAgent(row.name, 'share')
          if (put !== undefined) early.set(row.name, put)
        },
      }))(subject)
      return reading(read => ({ agent: async name => early.get(name) ?? read.agent(name) }))(writes)
    },
  },
  {
    store: 'loses what it was told when it stops',
    caughtBy: 'what was answered is there after the ledger is opened again',
    breakIt: subject => ({
      ...subject,
      async reopen() {
        const again = await subject.reopen()
        return { ...again, read: { ...again.read, lease: async () => undefined } }
      },
    }),
  },
  {
    store: 'starts a page with the end of the one before',
    caughtBy: 'leases are listed newest first, a page at a time, each once',
    breakIt: reading(read => ({
      leases: async (filter, page) => {
        const { items } = await read.leases(filter, page)
        const { next } = await read.leases(filter, { ...page, limit: page.limit - 1 })
        return { items, next }
      },
    })),
  },
  {
    store: 'counts silence while it was away',
    caughtBy: 'silence is a lapse only where the ledger could have been told',
    breakIt: reading(read => ({ tasksLapsed: async (now, _, limit) => read.tasksLapsed(now, 0, limit) })),
  },
  {
    store: 'calls the past the next due moment',
    caughtBy: 'the next due moment is the soonest after now of lease, deadline, heartbeat and claim',
    breakIt: reading(read => ({ nextDue: async now => read.nextDue(now - 1) })),
  },
  {
    store: 'says that it signed a receipt for the second time',
    caughtBy: 'a receipt is signed once, and not without being owed',
    breakIt: writing(tx => ({
      signReceipt: async receipt => {
        await tx.signReceipt(receipt)
        return true
      },
    })),
  },
  {
    store: 'gives a receipt to whoever asks',
    caughtBy: 'two who claim receipts at once share nothing, and a claim that runs out is taken again',
    breakIt: writing(tx => ({ claimReceipts: async limit => tx.claimReceipts(limit, tx.now) })),
  },
  {
    store: 'forgets that a child has no receipt',
    caughtBy: 'a child that is not settled is waited for, too',
    breakIt: writing(() => ({ childrenWithoutReceipt: async () => [] })),
  },
  {
    store: 'lets an overtaken attempt finish a delivery',
    caughtBy: 'deliveries are claimed by webhook, each attempt counts, and an older attempt changes nothing',
    breakIt: writing(tx => ({
      finishDelivery: async (id, attempts, to) =>
        (await tx.finishDelivery(id, attempts, to)) || tx.finishDelivery(id, attempts + 1, to),
    })),
  },
  {
    store: 'takes an answer that comes too late',
    caughtBy: 'an approval is answered once, and not past its time',
    breakIt: writing(tx => ({
      answerApproval: async (id, to) => (await tx.answerApproval(id, to)) || true,
    })),
  },
  {
    store: 'counts a human twice',
    caughtBy: 'one human agrees once; votes come back in the order in which they were given',
    breakIt: writing(tx => ({ insertVote: async row => (await tx.insertVote(row)) || true })),
  },
  {
    store: 'spends an approval without an end',
    caughtBy: 'an approval is spent as often as it says, for its own digest, and only once it is given',
    breakIt: writing(tx => ({
      spendApproval: async (id, digest) => (await tx.spendApproval(id, digest)) || true,
    })),
  },
  {
    store: 'cancels what was given, too',
    caughtBy: 'approvals of tasks are cancelled while they wait, and withdrawn also when they were given',
    breakIt: writing(tx => ({
      cancelApprovals: async (tasks, to) => {
        await tx.withdrawApproval('a', to)
        return tx.cancelApprovals(tasks, to)
      },
    })),
  },
  {
    store: 'uses a window without an end',
    caughtBy: 'a pre-approval is used as often as it says, until it is revoked or past its time',
    breakIt: writing(tx => ({ usePreapproval: async id => (await tx.usePreapproval(id)) || true })),
  },
  {
    store: 'takes whoever was looked after for unattended',
    caughtBy: 'a task that a human looks after is unattended when they were not there in time',
    breakIt: writing(tx => ({ isUnattended: async task => (await tx.isUnattended(task)) || true })),
  },
  {
    store: 'runs two drills of an issuer',
    caughtBy: 'one drill of an issuer runs at a time, and finishes once',
    breakIt: writing(tx => ({
      startDrill: async row => {
        await tx.startDrill(row)
        return true
      },
    })),
  },
]

test.each(broken)('a store that $store is caught', async ({ caughtBy, breakIt }) => {
  const check = storeChecks.find(each => each.name === caughtBy)
  if (check === undefined) throw new Error(`no check is named "${caughtBy}"`)
  await runStoreCheck(check, openSqliteSubject)
  const caught = runStoreCheck(check, async () => breakIt(await openSqliteSubject()))
  await expect(caught).rejects.toMatchObject({ name: 'AssertionError' })
})

function writing(patch: (tx: LedgerWrite) => Partial<LedgerWrite>) {
  return (subject: StoreSubject): StoreSubject => ({
    ...subject,
    ledger: {
      ...subject.ledger,
      write: body => subject.ledger.write(tx => body(Object.assign(Object.create(tx), patch(tx)))),
    },
  })
}

function reading(patch: (read: LedgerRead) => Partial<LedgerRead>) {
  return (subject: StoreSubject): StoreSubject => ({
    ...subject,
    ledger: { ...subject.ledger, read: { ...subject.ledger.read, ...patch(subject.ledger.read) } },
  })
}
