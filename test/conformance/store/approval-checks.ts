/** What humans are asked, and what they said: each change names the state it leaves, and each human counts once. */
import assert from 'node:assert/strict'
import type { Ledger } from '../../../src/store/ledger.ts'
import type { ApprovalRow, PreapprovalRow, VoteRow } from '../../../src/store/rows.ts'
import { ask, minute, type StoreCheck, start, task } from './subject.ts'

function approval(id: string, over: Partial<ApprovalRow> = {}): ApprovalRow {
  return {
    ...{ id, task: 't', ask: 'k', agent: 'builder', issuer: 'github', document: '{}', digest: 'digest' },
    ...{ requires: '[]', mints: 2, created_at: start, expires_at: start + 10 * minute, mac: 'mac' },
    ...{ state: 'pending', minted: 0, closed_at: null, closed_by: null, reason: null },
    ...over,
  }
}

function vote(of: string, human: string, over: Partial<VoteRow> = {}): VoteRow {
  return {
    ...{ approval: of, human, name: human, groups: '[]', owner: 0, voted_at: start },
    ...{ preapproval: null, mac: 'mac', ...over },
  }
}

function preapproval(id: string, over: Partial<PreapprovalRow> = {}): PreapprovalRow {
  return {
    ...{ id, agent: 'builder', agent_digest: 'generation', issuer: 'github', issuer_digest: 'settings' },
    ...{
      ask: '{}',
      digest: 'digest',
      human: 'h',
      name: 'h',
      email: null,
      groups: '[]',
      reason: 'a release',
      uses: 2,
    },
    ...{ created_at: start, expires_at: start + minute, mac: 'mac', used: 0, revoked_at: null },
    ...{ revoked_by: null, ...over },
  }
}

async function withAsk(ledger: Ledger, ...approvals: ApprovalRow[]): Promise<void> {
  await ledger.write(async tx => {
    await tx.insertTask(task('t'), [])
    await tx.insertAsk(ask('k', 't', { state: 'pending' }))
    for (const row of approvals) await tx.insertApproval(row)
  })
}

const ids = (rows: readonly { id: string }[]) => rows.map(row => row.id)

export const approvalChecks: readonly StoreCheck[] = [
  {
    name: 'an approval comes back as it was put, is listed, and the last of an ask is the one that counts',
    async run({ ledger }) {
      const first = approval('a')
      const later = approval('b', { created_at: start + 1, agent: 'other' })
      await withAsk(ledger, first, later)
      assert.deepEqual({ ...(await ledger.read.approval('a')) }, first)
      assert.equal(await ledger.read.approval('c'), undefined)
      assert.equal((await ledger.read.approvalOf('k'))?.id, 'b')
      assert.equal(await ledger.read.approvalOf('none'), undefined)
      const page = await ledger.read.approvals({}, { limit: 1 })
      assert.deepEqual(ids(page.items), ['b'])
      const rest = await ledger.read.approvals({}, { limit: 1, after: page.next! })
      assert.deepEqual([ids(rest.items), rest.next], [['a'], null])
      const { approvals } = ledger.read
      assert.deepEqual(ids((await approvals({ agent: 'builder' }, { limit: 9 })).items), ['a'])
      assert.deepEqual(ids((await approvals({ state: 'pending', task: 't' }, { limit: 9 })).items), [
        'b',
        'a',
      ])
      assert.deepEqual((await approvals({ state: 'denied' }, { limit: 9 })).items, [])
      assert.deepEqual({ ...(await ledger.read.waitingApprovals()) }, { count: 2, oldest: start })
    },
  },
  {
    name: 'an approval is answered once, and not past its time',
    async run({ ledger, setNow }) {
      await withAsk(ledger, approval('a'), approval('b'))
      const answer = (id: string, state: 'approved' | 'denied') =>
        ledger.write(tx => tx.answerApproval(id, { state, by: `by ${state}`, reason: 'because' }))
      assert.deepEqual(
        [await answer('a', 'denied'), await answer('a', 'approved'), await answer('none', 'approved')],
        [true, false, false],
      )
      const row = await ledger.read.approval('a')
      assert.deepEqual(
        [row?.state, row?.closed_by, row?.closed_at, row?.reason],
        ['denied', 'by denied', start, 'because'],
      )
      setNow(start + 10 * minute)
      assert.equal(await answer('b', 'approved'), false, 'its time is past')
      assert.equal((await ledger.read.approval('b'))?.state, 'pending')
      assert.deepEqual({ ...(await ledger.read.waitingApprovals()) }, { count: 1, oldest: start })
    },
  },
  {
    name: 'what is past its time expires, the oldest first, within the limit',
    async run({ ledger, setNow }) {
      const at = (minutes: number) => ({ expires_at: start + minutes * minute })
      await withAsk(ledger, approval('a', at(3)), approval('b', at(2)), approval('c', at(1)))
      await ledger.write(tx => tx.withdrawApproval('c', { by: 'x', reason: 'y' }))
      setNow(start + 3 * minute)
      const expire = () => ledger.write(tx => tx.expireApprovals(1))
      const [first, second, third] = [await expire(), await expire(), await expire()]
      assert.deepEqual([ids(first), ids(second), ids(third)], [['b'], ['a'], []])
      assert.deepEqual([first[0]?.state, first[0]?.closed_at], ['expired', start + 3 * minute])
      assert.deepEqual({ ...(await ledger.read.waitingApprovals()) }, { count: 0, oldest: null })
    },
  },
  {
    name: 'approvals of tasks are cancelled while they wait, and withdrawn also when they were given',
    async run({ ledger }) {
      await withAsk(ledger, approval('a'), approval('b'), approval('c'))
      await ledger.write(tx => tx.answerApproval('a', { state: 'approved', by: 'h', reason: null }))
      const to = { by: 'broker', reason: 'the task ended' }
      const gone = await ledger.write(tx => tx.cancelApprovals(['t', 'other'], to))
      assert.deepEqual(ids(gone).sort(), ['b', 'c'])
      assert.equal(gone[0]?.state, 'cancelled')
      assert.deepEqual(await ledger.write(tx => tx.cancelApprovals(['t'], to)), [])
      assert.deepEqual(await ledger.write(tx => tx.cancelApprovals([], to)), [])
      const withdraw = (id: string) => ledger.write(tx => tx.withdrawApproval(id, to))
      assert.deepEqual([await withdraw('a'), await withdraw('a'), await withdraw('b')], [true, false, false])
      assert.deepEqual((await ledger.read.approval('a'))?.reason, 'the task ended')
    },
  },
  {
    name: 'one human agrees once; votes come back in the order in which they were given',
    async run({ ledger }) {
      await withAsk(ledger, approval('a'), approval('b'))
      const agree = (of: string, human: string, at: number) =>
        ledger.write(async tx => {
          await tx.lockApproval(of)
          return tx.insertVote(vote(of, human, { voted_at: at }))
        })
      assert.deepEqual(
        [await agree('a', 'z', start), await agree('a', 'b', start + 1), await agree('a', 'z', start + 2)],
        [true, true, false],
      )
      assert.equal(await agree('b', 'z', start), true, 'to another it is another answer')
      assert.deepEqual({ ...(await ledger.read.votes('a'))[0] }, vote('a', 'z'))
      const seen = await ledger.write(async tx => (await tx.votesOf('a')).map(row => row.human))
      assert.deepEqual(seen, ['z', 'b'])
      assert.equal((await ledger.write(tx => tx.lockApproval('b')))?.id, 'b')
      assert.equal(await ledger.write(tx => tx.lockApproval('none')), undefined)
    },
  },
  {
    name: 'an approval is spent as often as it says, for its own digest, and only once it is given',
    async run({ ledger }) {
      await withAsk(ledger, approval('a'))
      const spend = (digest = 'digest') => ledger.write(tx => tx.spendApproval('a', digest))
      assert.equal(await spend(), false, 'it was not given')
      await ledger.write(tx => tx.answerApproval('a', { state: 'approved', by: 'h', reason: null }))
      assert.deepEqual(
        [await spend('other'), await spend(), await spend(), await spend()],
        [...[false, true, true, false]],
      )
      await ledger.write(tx => tx.unspendApproval('a'))
      assert.deepEqual([await spend(), await spend()], [true, false])
      assert.equal((await ledger.read.approval('a'))?.minted, 2)
      await ledger.write(async tx => {
        for (let time = 0; time < 3; time += 1) await tx.unspendApproval('a')
        await tx.withdrawApproval('a', { by: 'x', reason: 'y' })
      })
      assert.equal((await ledger.read.approval('a'))?.minted, 0)
      assert.equal(await spend(), false, 'it was withdrawn')
    },
  },
  {
    name: 'an ask moves only from the states that are named',
    async run({ ledger }) {
      await withAsk(ledger)
      const move = (from: readonly ('pending' | 'granted')[], to: 'granted' | 'denied') =>
        ledger.write(tx => tx.moveAsk('k', from, to))
      assert.deepEqual(
        [await move(['granted'], 'denied'), await move(['pending', 'granted'], 'granted')],
        [false, true],
      )
      assert.equal((await ledger.read.ask('k'))?.state, 'granted')
      assert.equal(await ledger.write(tx => tx.moveAsk('none', ['pending'], 'granted')), false)
    },
  },
  {
    name: 'a pre-approval is used as often as it says, until it is revoked or past its time',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.insertPreapproval(preapproval('p'))
        await tx.insertPreapproval(preapproval('q', { created_at: start + 1, agent: 'other' }))
      })
      assert.deepEqual({ ...(await ledger.read.preapproval('p')) }, preapproval('p'))
      const use = (id: string) => ledger.write(tx => tx.usePreapproval(id))
      const open = async (at: number) =>
        ids((await ledger.read.preapprovals({ open: at }, { limit: 9 })).items)
      assert.deepEqual(await open(start), ['q', 'p'])
      assert.deepEqual([await use('p'), await use('p'), await use('p')], [true, true, false])
      assert.deepEqual(await open(start), ['q'])
      assert.deepEqual(await open(start + minute), [])
      const of = await ledger.read.preapprovals({ agent: 'builder' }, { limit: 9 })
      assert.deepEqual(ids(of.items), ['p'])
      const revoke = (by: string) => ledger.write(tx => tx.revokePreapproval('q', by))
      assert.deepEqual([await revoke('a'), await revoke('b'), await use('q')], [true, false, false])
      assert.equal((await ledger.read.preapproval('q'))?.revoked_by, 'a')
      await ledger.write(tx => tx.insertPreapproval(preapproval('r')))
      setNow(start + minute)
      assert.equal(await use('r'), false)
    },
  },
  {
    name: 'a task that a human looks after is unattended when they were not there in time',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        for (const id of ['t', 'u']) {
          await tx.insertTask(task(id), [])
          await tx.insertCheckIn({ task: id, every_ms: minute, due_at: start + minute, last_by: null })
        }
        await tx.endTasks(['u'], 'completed', null)
      })
      assert.deepEqual(await ledger.read.tasksUnattended(start + minute - 1, 9), [])
      assert.deepEqual(await ledger.read.tasksUnattended(start + minute, 9), ['t'], 'u has ended')
      const isUnattended = (id: string) => ledger.write(tx => tx.isUnattended(id))
      assert.equal(await isUnattended('t'), false)
      setNow(start + minute)
      assert.deepEqual([await isUnattended('t'), await isUnattended('none')], [true, false])
      const seen = await ledger.write(tx => tx.noteCheckIn('t', 'operator:a'))
      assert.equal(await isUnattended('t'), false)
      const row = { task: 't', every_ms: minute, due_at: start + 2 * minute, last_by: 'operator:a' }
      assert.deepEqual([{ ...seen }, { ...(await ledger.read.checkIn('t')) }], [row, row])
      assert.equal(await ledger.write(tx => tx.noteCheckIn('none', 'operator:a')), undefined)
      assert.deepEqual(await ledger.read.tasksUnattended(start + minute, 9), [])
    },
  },
]
