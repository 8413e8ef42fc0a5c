import assert from 'node:assert/strict'
import type { AgentStanding } from '../../../src/store/rows.ts'
import { activeLease, agent, lease, minute, revokingLease, type StoreCheck, start, task } from './subject.ts'

const neverMoved: AgentStanding = {
  standing: 'active',
  standing_cause: null,
  standing_reason: null,
  standing_by: null,
  standing_at: null,
  standing_run: null,
  certified_build: null,
  certified_until: null,
  certified_by: null,
  certified_at: null,
  certified_mac: null,
}

const suspended = {
  standing: 'suspended',
  standing_cause: 'operator',
  standing_reason: 'leaked',
  standing_by: 'operator:first',
  standing_run: 'r',
} as const

export const agentChecks: StoreCheck[] = [
  {
    name: 'an agent is put, replaced, locked and listed by name',
    async run({ ledger }) {
      const later = { digest: 'later', document: '{"v":2}', status: 'removed', mac: 'other' } as const
      await ledger.write(async tx => {
        await tx.putAgent(agent('b'))
        await tx.putAgent(agent('a'))
        await tx.putAgent(agent('a', later))
      })
      const a = { ...agent('a', later), ...neverMoved }
      assert.deepEqual({ ...(await ledger.read.agent('a')) }, a)
      assert.deepEqual(
        (await ledger.read.agents()).map(each => each.name),
        ['a', 'b'],
      )
      for (const mode of ['share', 'update'] as const) {
        assert.deepEqual({ ...(await ledger.write(tx => tx.lockAgent('a', mode))) }, a)
        assert.equal(await ledger.write(tx => tx.lockAgent('nobody', mode)), undefined)
      }
      assert.equal(await ledger.read.agent('nobody'), undefined)
      const { name, digest, mac, status, standing } = a
      const shared = await ledger.write(tx => tx.shareAgent('a'))
      assert.deepEqual({ ...shared }, { name, digest, mac, status, standing })
      assert.equal(await ledger.write(tx => tx.shareAgent('nobody')), undefined)
    },
  },
  {
    name: 'an agent moves from how it stands, once, and no declaration of it changes that',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.putAgent(agent('a'))
        await tx.putAgent(agent('b'))
      })
      setNow(start + 5)
      const both = await Promise.all(
        [1, 2].map(() => ledger.write(tx => tx.moveAgent('a', 'active', suspended))),
      )
      assert.deepEqual(both.toSorted(), [false, true])
      assert.equal(await ledger.write(tx => tx.moveAgent('nobody', 'active', suspended)), false)
      setNow(start + 9)
      await ledger.write(tx => tx.putAgent(agent('a', { digest: 'later', status: 'removed' })))
      await ledger.write(tx => tx.putAgent(agent('a', { digest: 'latest' })))
      const expected = { ...neverMoved, ...suspended, standing_at: start + 5 }
      assert.deepEqual(
        { ...(await ledger.read.agent('a')) },
        { ...agent('a', { digest: 'latest' }), ...expected },
      )
      assert.deepEqual({ ...(await ledger.read.agent('b')) }, { ...agent('b'), ...neverMoved })
    },
  },
  {
    name: 'what was certified is kept beside how an agent stands',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.putAgent(agent('a'))
        await tx.moveAgent('a', 'active', suspended)
      })
      setNow(start + 7)
      const to = {
        certified_build: 'sha256:1',
        certified_until: start + minute,
        certified_by: 'x',
        certified_mac: 'm',
      }
      await ledger.write(tx => tx.certifyAgent('a', to))
      const row = await ledger.read.agent('a')
      assert.deepEqual(
        { ...row },
        {
          ...agent('a'),
          ...neverMoved,
          ...suspended,
          ...{ standing_at: start, ...to, certified_at: start + 7 },
        },
      )
    },
  },
  {
    name: 'leases are listed of an agent and of every task below its own',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.insertTask(task('top', { agent: 'a' }), [])
        await tx.insertTask(task('child', { agent: 'b', parent: 'top', root: 'top', depth: 1 }), ['top'])
        await tx.insertTask(task('leaf', { agent: 'c', parent: 'child', root: 'top', depth: 2 }), [
          'top',
          'child',
        ])
        await tx.insertTask(task('else', { agent: 'b' }), [])
        for (const [id, of, by] of [
          ['one', 'top', 'a'],
          ['two', 'child', 'b'],
          ['three', 'leaf', 'c'],
          ['four', 'else', 'b'],
        ] as const)
          await tx.insertLease(activeLease(id, of, { agent: by }))
      })
      const below = async (agent: string) => {
        const { items } = await ledger.read.leases({ below: agent, state: 'outstanding' }, { limit: 9 })
        return items.map(row => row.id).sort()
      }
      assert.deepEqual(await below('a'), ['one', 'three', 'two'])
      assert.deepEqual(await below('b'), ['four', 'three', 'two'])
      assert.deepEqual(await below('c'), ['three'])
      assert.deepEqual(await below('nobody'), [])
    },
  },
  {
    name: 'what agents have open is counted, and when they last opened a task',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.putAgent(agent('builder'))
        await tx.putAgent(agent('idle'))
        await tx.insertTask(task('one'), [])
        await tx.insertTask(task('two', { opened_at: start + 5 }), [])
        await tx.insertTask(task('three', { opened_at: start + 3 }), [])
        await tx.insertTask(task('stranger', { agent: 'nobody' }), [])
        await tx.endTasks(['two'], 'completed', null)
        await tx.insertLease(activeLease('a', 'one'))
        await tx.insertLease(revokingLease('b', 'two'))
        await tx.insertLease(lease('c', 'three', { agent: 'nobody' }))
        await tx.closeLease('b', null, { closed_as: 'revoked' })
      })
      const builder = { agent: 'builder', active_tasks: 2, outstanding_leases: 1, last_opened_at: start + 5 }
      const idle = { agent: 'idle', active_tasks: 0, outstanding_leases: 0, last_opened_at: null }
      assert.deepEqual(
        (await ledger.read.agentUse()).map(row => ({ ...row })),
        [builder, idle],
      )
      assert.deepEqual(await ledger.read.agentUse('idle'), [idle])
      assert.deepEqual(await ledger.read.agentUse('nobody'), [])
    },
  },
]
