/** What a plan says of a change, member by member: it is what people sign for. */
import { expect, test } from 'vitest'
import { newResource } from '../../src/registry/resource.ts'
import { effectsOf } from '../../src/registry/widening.ts'

const none = new Map()
const policy = (name: string, text: string) => newResource('policy', name, { text })
const forbids = policy('payments.quiet', '@id("quiet") forbid(principal, action, resource);')

const agent = (more: object = {}) =>
  newResource('agent', 'payments.payer', {
    ...{ name: 'payments.payer', owner: { business: 'a', technical: 'b' }, purpose: 'Pays' },
    ...{ risk_tier: 'medium', systems: ['payments'], expires_at: 2_000_000_000_000, attest: [] },
    ...{ ceiling: {}, may_outlive_minutes: {}, may_delegate_to: [] },
    limits: { task_minutes: 60, active_tasks: 1, credentials_per_hour: 1, child_depth: 0, children: 0 },
    ...more,
  })

test('a policy of a team forbids: a new one narrows, and without it there is more', () => {
  expect(effectsOf(undefined, forbids, none)).toEqual({
    widens: [],
    narrows: ['the policy payments.quiet is new'],
  })
  const removed = effectsOf(forbids, undefined, none)
  expect(removed.widens).toEqual([expect.stringContaining('payments.quiet is removed')])
  expect(removed.narrows).toEqual([])
  const other = policy('payments.quiet', '@id("quiet") forbid(principal, action, resource) when { false };')
  expect(effectsOf(forbids, other, none).widens).toHaveLength(1)
})

test('a policy of the operator may permit or forbid, and counts as wider', () => {
  const own = policy('all', '@id("all") permit(principal, action, resource);')
  expect(effectsOf(undefined, own, none).widens).toHaveLength(1)
  expect(effectsOf(own, undefined, none).widens).toHaveLength(1)
})

test.each([
  ['a key', { bound_key_required: true }, {}, 'its tasks need no key any more'],
  [
    'what each heartbeat proves',
    { posture_with_heartbeat: ['sandbox', 'provenance'] },
    { posture_with_heartbeat: ['sandbox'] },
    'no longer proves anew with each heartbeat: provenance',
  ],
  ['that its job runs', { verify_job_running: true }, {}, 'whether its job is checked to be running'],
  [
    'that its job runs, where its tier would have it checked',
    {},
    { verify_job_running: false },
    'whether its job is checked to be running',
  ],
  ['heartbeats', { heartbeat_seconds: 60 }, {}, 'heartbeat seconds: 60 to no bound'],
  ['a trust policy', { trust: { subject: 'a' } }, { trust: { subject: 'b' } }, /^the trust policy/],
])('whether %s is demanded', (_, demanding, free, words) => {
  const less = effectsOf(agent(demanding), agent(free), none)
  expect(less).toEqual({
    widens: [typeof words === 'string' ? words : expect.stringMatching(words)],
    narrows: [],
  })
  const back = effectsOf(agent(free), agent(demanding), none)
  expect(back.widens.length + back.narrows.length).toBe(1)
  if (typeof words === 'string') expect(back.widens).toEqual([])
})

test('a member that nothing knows how to compare counts as wider', () => {
  expect(effectsOf(agent(), agent({ may_fly: true }), none).widens).toEqual([
    expect.stringMatching(/^may_fly: .*taken for wider/),
  ])
  expect(effectsOf(agent({ may_fly: true }), agent({ may_fly: true }), none).widens).toEqual([])
  expect(effectsOf(agent(), agent({ purpose: 'Pays twice' }), none)).toEqual({ widens: [], narrows: [] })
})
