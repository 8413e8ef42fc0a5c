import assert from 'node:assert/strict'
import { BadCursor, type Ledger, type Page } from '../../../src/store/ledger.ts'
import {
  activeLease,
  agent,
  family,
  holding,
  ids,
  lease,
  minute,
  revokingLease,
  type StoreCheck,
  start,
  task,
} from './subject.ts'

export const readChecks: StoreCheck[] = [
  {
    name: 'leases are listed newest first, a page at a time, each once',
    async run({ ledger }) {
      const at = [3, 1, 2, 2, 2, 5]
      await holding(ledger, ...at.map((n, index) => lease(`l${index}`, 't', { intended_at: start + n })))
      const list = (after?: string) =>
        ledger.read.leases({}, { limit: 2, ...(after === undefined ? {} : { after }) })
      assert.deepEqual(ids(await all(list)), ['l5', 'l0', 'l4', 'l3', 'l2', 'l1'])
    },
  },
  {
    name: 'a row put in between is no reason to see another twice',
    async run({ ledger }) {
      await holding(ledger, ...[1, 2, 3].map(n => lease(`l${n}`, 't', { intended_at: start + n })))
      const first = await ledger.read.leases({}, { limit: 2 })
      await ledger.write(tx => tx.insertLease(lease('newest', 't', { intended_at: start + 9 })))
      const second = await ledger.read.leases({}, { limit: 2, after: first.next ?? '' })
      assert.deepEqual([...ids(first.items), ...ids(second.items)], ['l3', 'l2', 'l1'])
      assert.equal(second.next, null)
    },
  },
  {
    name: 'what was minted is counted by phase, for agents and for a line, without what never was',
    async run({ ledger }) {
      await family(ledger)
      await ledger.write(async tx => {
        await tx.insertLease(lease('one', 'a', { phase: 'read' }))
        await tx.insertLease(activeLease('two', 'b', { phase: 'deploy' }))
        await tx.insertLease(revokingLease('three', 'b', { phase: 'deploy', agent: 'other' }))
        await tx.insertLease(lease('old', 'b', { phase: 'transact', intended_at: start - minute }))
        await tx.insertLease(lease('never', 'b', { phase: 'execute' }))
        await tx.closeLease('never', null, { closed_as: 'never_minted' })
      })
      const minted = async (of: Parameters<Ledger['read']['minted']>[0], before?: number) =>
        Object.fromEntries(
          (await ledger.read.minted(of, start - 1, before)).map(({ phase, count }) => [phase, count]),
        )
      assert.deepEqual(await minted({ root: 'a' }), { read: 1, deploy: 2 })
      assert.deepEqual(await minted({ root: 'b' }), { deploy: 2 })
      assert.deepEqual(await minted({ agents: ['builder'] }), { read: 1, deploy: 1 })
      assert.deepEqual(await minted({ agents: ['builder', 'other'] }), { read: 1, deploy: 2 })
      assert.deepEqual(await minted({ agents: [] }), {})
      await ledger.write(tx =>
        tx.insertLease(lease('later', 'b', { phase: 'transact', intended_at: start + minute })),
      )
      assert.deepEqual(await minted({ root: 'b' }, start + minute), { deploy: 2 })
      assert.deepEqual(await minted({ root: 'b' }, start + minute + 1), { deploy: 2, transact: 1 })
    },
  },
  {
    name: 'phases that were given are told with what stays of them, for agents and for a line, without what never was',
    async run({ ledger }) {
      await family(ledger)
      const given = { intended_at: start + minute, active_at: start + minute }
      await ledger.write(async tx => {
        for (const name of ['builder', 'other', 'idle']) await tx.putAgent(agent(name))
        await tx.insertLease(lease('one', 'a', { phase: 'read' }))
        await tx.insertLease(activeLease('two', 'b', { phase: 'deploy' }))
        await tx.insertLease(activeLease('three', 'b', { phase: 'deploy', agent: 'other', ...given }))
        await tx.insertLease(lease('four', 'b', { phase: 'deploy', intended_at: start + 2 * minute }))
        await tx.insertLease(activeLease('old', 'b', { phase: 'transact', intended_at: start - minute }))
        await tx.insertLease(activeLease('before', 'b', { phase: null }))
        await tx.insertLease(lease('never', 'b', { phase: 'execute' }))
        await tx.closeLease('never', null, { closed_as: 'never_minted' })
      })
      const held = async (agents: string[], root: string | null = null) =>
        (await ledger.read.held({ agents, root, turns: [], since: start - 1 })).phases
          .map(one => [one.agent, one.phase, one.lasting === null ? null : one.lasting - start])
          .sort()
      const builder = [
        ['builder', 'deploy', 0],
        ['builder', 'read', null],
      ]
      assert.deepEqual(await held(['builder']), builder)
      assert.deepEqual(await held(['idle', 'builder', 'other']), [...builder, ['other', 'deploy', minute]])
      assert.deepEqual(await held(['idle'], 'b'), [[null, 'deploy', minute]])
      assert.deepEqual(await held(['idle'], 'a'), [
        [null, 'deploy', minute],
        [null, 'read', null],
      ])
    },
  },
  {
    name: 'a turn is taken by whoever saw it as it is, and by nobody else',
    async run({ ledger, setNow }) {
      const seen = async (...turns: string[]) =>
        (await ledger.read.held({ agents: ['builder'], root: null, turns, since: start })).turns
      assert.deepEqual([...(await seen('x', 'y'))], [])
      const raise = (key: string, from: number, until = start + minute) =>
        ledger.write(tx => tx.raiseTurn(key, from, until))
      const stands = (key: string, from: number, isHeld = false) =>
        ledger.write(tx => tx.turnStands(key, from, isHeld))
      assert.equal(await stands('x', 0), true)
      assert.equal(await stands('x', 1), false)
      assert.equal(await raise('x', 1), false)
      assert.equal(await raise('x', 0), true)
      assert.equal(await raise('x', 0), false)
      const first = (await seen('x', 'y')).get('x') ?? 0
      assert.equal(await stands('x', 0), false)
      for (const isHeld of [true, false]) assert.equal(await stands('x', first, isHeld), true)
      assert.equal(await raise('x', first), true)
      for (const isHeld of [true, false]) assert.equal(await stands('x', first, isHeld), false)
      assert.equal(await raise('x', first), false)
      assert.deepEqual([...(await seen('y', 'x'))], [['x', first + 1]])
      // What was forgotten begins with another number than it ever had.
      setNow(start + 2 * minute)
      await ledger.write(tx => tx.prune(10))
      assert.equal(await raise('x', first + 1), false)
      assert.equal(await raise('x', 0, start + 9 * minute), true)
      const again = (await seen('x')).get('x') ?? 0
      assert.ok(again > first + 1)
    },
  },
  {
    name: 'leases and tasks are filtered by everything that is asked for',
    async run({ ledger }) {
      await family(ledger)
      await ledger.write(async tx => {
        await tx.insertLease(lease('one', 'a'))
        await tx.insertLease(activeLease('two', 'a', { issuer: 'aws' }))
        await tx.insertLease(revokingLease('three', 'b', { agent: 'other' }))
        await tx.insertLease(lease('four', 'b'))
        await tx.closeLease('four', null, { closed_as: 'never_minted' })
        await tx.insertTask(task('e', { agent: 'other' }), [])
        await tx.endTasks(['b', 'e'], 'completed', null)
      })
      const leases = async (filter: Parameters<Ledger['read']['leases']>[0]) =>
        ids((await ledger.read.leases(filter, { limit: 9 })).items).sort()
      assert.deepEqual(await leases({ state: 'outstanding' }), ['one', 'three', 'two'])
      assert.deepEqual(await leases({ state: 'closed' }), ['four'])
      assert.deepEqual(await leases({ task: 'a' }), ['one', 'two'])
      assert.deepEqual(await leases({ task: 'a', issuer: 'aws' }), ['two'])
      assert.deepEqual(await leases({ agent: 'other', state: 'revoking' }), ['three'])
      assert.deepEqual(await leases({ agent: 'other', state: 'active' }), [])
      const tasks = async (filter: Parameters<Ledger['read']['tasks']>[0]) =>
        ids((await ledger.read.tasks(filter, { limit: 9 })).items)
      assert.deepEqual(await tasks({}), ['e', 'd', 'c', 'b', 'a'])
      assert.deepEqual(await tasks({ state: 'ended' }), ['e', 'b'])
      assert.deepEqual(await tasks({ state: 'ended', agent: 'builder' }), ['b'])
      const paged = (after?: string) =>
        ledger.read.tasks({}, { limit: 2, ...(after === undefined ? {} : { after }) })
      assert.deepEqual(ids(await all(paged)), ['e', 'd', 'c', 'b', 'a'])
    },
  },
  {
    name: 'what is not a cursor is refused as such',
    async run({ ledger }) {
      for (const after of ['', 'x', '!!', btoa('{}'), btoa('[1]'), btoa('["1","a"]'), 'a'.repeat(5_000)]) {
        await assert.rejects(ledger.read.leases({}, { limit: 1, after }), BadCursor, after)
        await assert.rejects(ledger.read.tasks({}, { limit: 1, after }), BadCursor, after)
        await assert.rejects(ledger.read.audit({}, { limit: 1, after }), BadCursor, after)
      }
    },
  },
  {
    name: 'the audit is kept in the order in which it was written, stamped by the ledger',
    async run({ ledger, setNow }) {
      const row = { actor: 'broker', data: '{}', agent: 'builder', lease: null }
      await ledger.write(tx => tx.appendAudit({ ...row, event: 'one', task: 'a' }))
      setNow(start + 7)
      await ledger.write(async tx => {
        await tx.appendAudit({ ...row, event: 'two', task: 'b', lease: 'l' })
        await tx.appendAudit({ ...row, event: 'three', task: 'a', agent: null })
      })
      const list = (after?: string) =>
        ledger.read.audit({}, { limit: 1, ...(after === undefined ? {} : { after }) })
      const rows = await all(list)
      assert.deepEqual(
        rows.map(each => [each.event, each.at]),
        [
          ['one', start],
          ['two', start + 7],
          ['three', start + 7],
        ],
      )
      assert.ok(rows.every((each, index) => index === 0 || each.seq > rows[index - 1]!.seq))
      const events = async (filter: Parameters<Ledger['read']['audit']>[0]) =>
        (await ledger.read.audit(filter, { limit: 9 })).items.map(each => each.event)
      assert.deepEqual(await events({ task: 'a' }), ['one', 'three'])
      assert.deepEqual(await events({ lease: 'l' }), ['two'])
      assert.deepEqual(await events({ agent: 'builder', task: 'a' }), ['one'])
    },
  },
  {
    name: 'leases are counted by state and issuer',
    async run({ ledger }) {
      await holding(
        ledger,
        lease('one', 't'),
        lease('two', 't'),
        activeLease('three', 't', { issuer: 'aws' }),
        revokingLease('four', 't'),
        lease('five', 't'),
      )
      await ledger.write(tx => tx.closeLease('five', null, { closed_as: 'never_minted' }))
      const counts = (await ledger.read.leaseCounts()).map(
        each => `${each.state} ${each.issuer} ${each.count}`,
      )
      assert.deepEqual(counts.sort(), [
        'active aws 1',
        'closed github 1',
        'intended github 2',
        'revoking github 1',
      ])
    },
  },
  {
    name: 'tasks past their deadline are found soonest first, active ones only',
    async run({ ledger }) {
      await ledger.write(async tx => {
        for (const [id, deadline] of Object.entries({ second: 2, first: 1, exact: 5, later: 6, over: 3 })) {
          await tx.insertTask(task(id, { deadline: start + deadline }), [])
        }
        await tx.endTasks(['over'], 'completed', null)
      })
      assert.deepEqual(await ledger.read.tasksPastDeadline(start + 5, 9), ['first', 'second', 'exact'])
      assert.deepEqual(await ledger.read.tasksPastDeadline(start + 5, 1), ['first'])
      assert.deepEqual(await ledger.read.tasksPastDeadline(start, 9), [])
    },
  },
  {
    name: 'silence is a lapse only where the ledger could have been told',
    async run({ ledger }) {
      const beating = { heartbeat_ms: minute, heartbeat_due: start + minute }
      await ledger.write(async tx => {
        await tx.insertTask(task('silent', beating), [])
        await tx.insertTask(task('unheard', { heartbeat_ms: null }), [])
        await tx.insertTask(task('over', beating), [])
        await tx.endTasks(['over'], 'completed', null)
      })
      const lapsed = (now: number, since: number) => ledger.read.tasksLapsed(now, since, 9)
      assert.deepEqual(await lapsed(start + minute - 1, start - minute), [])
      assert.deepEqual(await lapsed(start + minute, start - minute), ['silent'])
      assert.deepEqual(
        await lapsed(start + 5 * minute, start + 4 * minute + 1),
        [],
        'back for less than agreed',
      )
      assert.deepEqual(await lapsed(start + 5 * minute, start + 4 * minute), ['silent'])
    },
  },
  {
    name: 'the issuers with due work are named, and no others',
    async run({ ledger }) {
      await holding(
        ledger,
        revokingLease('a', 't', { issuer: 'aws' }),
        revokingLease('b', 't', { issuer: 'aws', due_at: start - 4 }),
        activeLease('c', 't', { issuer: 'github' }),
        revokingLease('d', 't', { issuer: 'jwt' }),
        revokingLease('e', 't', { issuer: 'zone', due_at: start - 1 }),
      )
      await ledger.write(tx => tx.closeLease('d', null, { closed_as: 'revoked' }))
      assert.deepEqual((await ledger.read.issuersDue(start)).toSorted(), ['aws', 'zone'])
      assert.deepEqual(await ledger.read.issuersDue(start - 1), ['aws', 'zone'])
      await ledger.write(tx => tx.claimDue('zone', 1, start + minute))
      assert.deepEqual(await ledger.read.issuersDue(start), ['aws'], 'claimed work waits for its claim')
      assert.deepEqual((await ledger.read.issuersDue(start + 30 * minute)).toSorted(), [
        'aws',
        'github',
        'zone',
      ])
    },
  },
  {
    name: 'the next due moment is the soonest after now of lease, deadline, heartbeat and claim',
    async run({ ledger }) {
      assert.equal(await ledger.read.nextDue(start), null)
      await ledger.write(async tx => {
        const beating = { heartbeat_ms: 40, heartbeat_due: start + 40, deadline: start + 30 }
        await tx.insertTask(task('t', beating), [])
        await tx.insertLease(activeLease('l', 't', { issuer: 'zone', due_at: start + 20 }))
        await tx.insertLease(activeLease('m', 't', { issuer: 'aws', due_at: start + 50 }))
        await tx.insertLease(revokingLease('n', 't', { issuer: 'github', due_at: start }))
      })
      await ledger.write(tx => tx.claimDue('github', 1, start + 10))
      const moments = [start]
      while (moments.length <= 6) {
        const next = await ledger.read.nextDue(moments.at(-1)!)
        if (next === null) break
        moments.push(next)
      }
      assert.deepEqual(
        moments.map(moment => moment - start),
        [0, 10, 20, 30, 40, 50],
      )
      await ledger.write(tx => tx.endTasks(['t'], 'completed', null))
      assert.equal(await ledger.read.nextDue(start + 20), start + 50, 'an ended task waits for nothing')
    },
  },
]

async function all<Row>(list: (after?: string) => Promise<Page<Row>>): Promise<Row[]> {
  const rows: Row[] = []
  let page = await list()
  for (;;) {
    rows.push(...page.items)
    if (page.next === null) return rows
    assert.ok(page.items.length > 0, 'an empty page has no next')
    page = await list(page.next)
  }
}
