/** Approvals as Cedar policies demand them, given by humans who sign in for each. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bindingOf } from '../../src/broker/approvals/answer-approval.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import {
  ALL,
  createDesk,
  createRuledInstallation,
  type Desk,
  type Ruled,
} from '../support/ruled-installation.ts'
import { sessionOf } from '../support/session.ts'

let installation: Ruled
let server: RunningServer
let desk: Desk

beforeAll(async () => {
  installation = await createRuledInstallation()
  server = await startBroker(installation)
  desk = await createDesk(server, installation)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

type Demand = { quorum?: number; groups?: string[]; ownerMay?: boolean; unless?: string; phase?: string }

/** A rule by which writing waits for humans. */
function waits(id: string, demand: Demand = {}): string {
  const {
    quorum = 1,
    groups = [],
    ownerMay = false,
    unless = 'context has approval',
    phase = 'propose',
  } = demand
  const approvers = groups.length === 0 ? '' : `@approvers("${groups.map(one => `group:${one}`).join(',')}")`
  return `@id("${id}") @onDeny("needs_approval") @quorum("${quorum}") ${approvers} ${ownerMay ? '@ownerMay("approve")' : ''}
    forbid(principal, action in Mayfly::Action::"*:${phase}", resource) unless { ${unless} };`
}

async function inForce(...texts: string[]): Promise<void> {
  await installation.rules(ALL, ...texts)
  await server.reload()
}

const state = async (approval: string) => (await desk.show(approval)).body.state
const leases = async (task: string) =>
  (await server.broker.ledger.read.leases({ task }, { limit: 9 })).items.length

describe('one rule', () => {
  test('waits for somebody of its group who may approve, and then mints once', async () => {
    await inForce(waits('leads-agree', { groups: ['leads'] }))
    const { task, approval } = await desk.waiting(asks.api)
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    for (const who of ['out', 'sam', 'vic', 'olga'])
      expect([who, (await desk.approve(approval, who)).status]).toEqual([who, 403])
    expect((await desk.show(approval)).body).toMatchObject({
      agreed: [],
      missing: [{ policy: 'leads-agree', quorum: 1, groups: ['leads'], has: 0 }],
    })
    expect((await desk.approve(approval, 'lea')).body.state).toBe('approved')
    expect((await desk.api.credential(task)).status).toBe(201)
    expect((await desk.api.credential(task)).body.code).toBe('approval_over')
    expect(await leases(task.id)).toBe(1)
  })

  test('reading is not kept waiting by it', async () => {
    expect((await desk.api.credential(await desk.api.open([asks.apiRead]))).status).toBe(201)
  })

  test('of two humans counts each of them once, and nobody else', async () => {
    await inForce(waits('two-leads', { quorum: 2, groups: ['leads'] }))
    const { task, approval } = await desk.waiting(asks.api)
    expect((await desk.approve(approval, 'lea')).body.missing).toMatchObject([{ has: 1, quorum: 2 }])
    expect((await desk.approve(approval, 'sam')).status).toBe(403)
    const twice = await desk.approve(approval, 'lea')
    expect([twice.status, twice.body.code]).toEqual([409, 'approved_already'])
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    expect((await desk.approve(approval, 'lou')).body.state).toBe('approved')
    expect((await desk.api.credential(task)).status).toBe(201)
  })

  test('that wants more than its annotations say is met by nobody, so nobody is asked', async () => {
    await inForce(waits('greedy', { unless: 'context has approval && context.approval.count >= 2' }))
    await expect(desk.waiting(asks.api)).rejects.toThrow('ask_denied')
  })

  test('no session approves, whatever its role, and neither does the task', async () => {
    await inForce(waits('anybody'))
    const { task, approval } = await desk.waiting(asks.api)
    const { body } = await desk.show(approval)
    const id_token = await installation.signInAs('lea', { boundTo: bindingOf('approve', body) })
    for (const token of [await sessionOf(server, installation, 'lea'), task.token]) {
      const refused = await desk.api.call('POST', `/v1/approvals/${approval}/approve`, token, { id_token })
      expect([refused.status, refused.body.code]).toEqual([403, 'forbidden'])
    }
    const unbound = await installation.signInAs('lea')
    const plain = await desk.api.call('POST', `/v1/approvals/${approval}/approve`, undefined, {
      id_token: unbound,
    })
    expect([plain.status, plain.body.code]).toEqual([401, 'fresh_sign_in_needed'])
    expect(await state(approval)).toBe('pending')
  })
})

describe('two rules', () => {
  const both = () =>
    inForce(
      waits('two-of-security', { quorum: 2, groups: ['security'] }),
      waits('a-lead', { quorum: 1, groups: ['leads'] }),
    )

  test('each wants its own humans: as many in all is not enough', async () => {
    await both()
    const { task, approval } = await desk.waiting(asks.api)
    await desk.approve(approval, 'lea')
    await desk.approve(approval, 'lou')
    const third = await desk.approve(approval, 'sam')
    // Three agreed, and somebody of each group is among them.
    expect(third.body).toMatchObject({ state: 'pending', missing: [{ policy: 'two-of-security', has: 1 }] })
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    expect((await desk.approve(approval, 'sue')).body).toMatchObject({ state: 'approved', missing: [] })
    expect((await desk.api.credential(task)).status).toBe(201)
  })

  test('somebody of both groups counts towards each, and is one human', async () => {
    await both()
    const { approval } = await desk.waiting(asks.api)
    const first = await desk.approve(approval, 'max')
    expect(first.body).toMatchObject({ state: 'pending', missing: [{ policy: 'two-of-security', has: 1 }] })
    expect((await desk.approve(approval, 'sam')).body.state).toBe('approved')
  })

  test('one for anybody and one for a group: whoever is in none counts for the first alone', async () => {
    await inForce(waits('two-of-security', { quorum: 2, groups: ['security'] }), waits('two', { quorum: 2 }))
    const { task, approval } = await desk.waiting(asks.api)
    await desk.approve(approval, 'out')
    const second = await desk.approve(approval, 'sam')
    expect(second.body.missing).toMatchObject([{ policy: 'two-of-security', has: 1 }])
    await desk.approve(approval, 'sue')
    expect((await desk.api.credential(task)).status).toBe(201)
  })

  test('one that lets owners answer does not let them answer the other', async () => {
    await inForce(
      waits('own', { groups: ['leads'], ownerMay: true }),
      waits('foreign', { groups: ['leads'] }),
    )
    const { task, approval } = await desk.waiting(asks.api)
    const own = await desk.approve(approval, 'olga')
    expect(own.body).toMatchObject({ state: 'pending', missing: [{ policy: 'foreign', has: 0 }] })
    expect((await desk.approve(approval, 'lea')).body.state).toBe('approved')
    expect((await desk.api.credential(task)).status).toBe(201)
    await inForce(waits('own', { groups: ['leads'], ownerMay: true }))
    const alone = await desk.waiting(asks.api)
    expect((await desk.approve(alone.approval, 'olga')).body.state).toBe('approved')
    expect((await desk.api.credential(alone.task)).status).toBe(201)
  })
})

describe('other policies between the approval and the mint', () => {
  const approved = async () => {
    await inForce(waits('leads-agree', { groups: ['leads'] }))
    const it = await desk.waiting(asks.api)
    expect((await desk.approve(it.approval, 'lea')).body.state).toBe('approved')
    return it
  }

  test('that demand more: the approval is over, and humans are asked for what is demanded now', async () => {
    const { task, ask, approval } = await approved()
    await inForce(waits('leads-agree', { quorum: 2, groups: ['leads'] }))
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    expect(await state(approval)).toBe('cancelled')
    const next = (await server.broker.ledger.read.approvalOf(ask))!
    expect((await desk.approve(next.id, 'lea')).body.state).toBe('pending')
    expect((await desk.approve(next.id, 'lou')).body.state).toBe('approved')
    expect((await desk.api.credential(task)).status).toBe(201)
  })

  test('that demand the same in another set: what was agreed to was another set', async () => {
    const { task, approval } = await approved()
    await inForce(waits('leads-agree', { groups: ['leads'] }), waits('other', { phase: 'transact' }))
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    expect(await state(approval)).toBe('cancelled')
    expect(await leases(task.id)).toBe(0)
  })

  test('that deny: nothing is minted, whoever agreed', async () => {
    const { task } = await approved()
    await inForce('@id("freeze") forbid(principal, action in Mayfly::Action::"*:propose", resource);')
    expect((await desk.api.credential(task)).body.code).toBe('ask_denied')
    expect(await leases(task.id)).toBe(0)
  })

  test('that demand nothing any more: it is minted, and the approval is not used', async () => {
    const { task, approval } = await approved()
    await inForce()
    expect((await desk.api.credential(task)).status).toBe(201)
    expect((await desk.show(approval)).body.minted).toBe(0)
  })

  test('reach what is live under an approval, too', async () => {
    const { task } = await approved()
    expect((await desk.api.credential(task)).status).toBe(201)
    const alive = () => {
      const writes = installation.github.credentials().filter(one => one.permissions.contents === 'write')
      return writes.some(one => one.alive)
    }
    expect(alive()).toBe(true)
    await inForce('@id("freeze") forbid(principal, action in Mayfly::Action::"*:propose", resource);')
    await expect.poll(alive).toBe(false)
  })
})
