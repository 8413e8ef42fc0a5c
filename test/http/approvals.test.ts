/** Approvals through the HTTP port: what waits, who may answer, and that nothing but what was shown is minted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bindingOf, type Verb } from '../../src/broker/approvals/answer-approval.ts'
import { judgeLive } from '../../src/broker/decisions/judge-live.ts'
import { boundsOf } from '../../src/broker/tasks/bounds.ts'
import { canonicalDigest } from '../../src/canonical.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { type AskingPolicy, askingPolicy, requirement } from '../support/asking-policy.ts'
import { freshToken, type Person, people } from '../support/humans.ts'
import { operatorTokenOf } from '../support/operator.ts'

let installation: Installation
let server: RunningServer
let api: Api
let policy: AskingPolicy
let operator: string

beforeAll(async () => {
  installation = await createInstallation()
  server = await startBroker(installation)
  server.broker.people = people()
  server.broker.limits = { ...server.broker.limits, approvalMs: 10 * 60_000 }
  api = createApi(server, installation)
  operator = await operatorTokenOf(server)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})
beforeEach(() => {
  policy = askingPolicy()
  server.broker.policy = policy
})

const ada: Person = { subject: 'ada' }
const bob: Person = { subject: 'bob' }
const write = asks.api
type Waiting = { task: OpenedTask; ask: string; approval: string }

/** Opens with an ask that waits; throws where it does not. */
async function waiting(extra: Record<string, unknown> = {}, wanted: unknown = write): Promise<Waiting> {
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  const body = { purpose: 'a release', authorization_details: [wanted], evidence, ...extra }
  const answer = await api.call('POST', '/v1/tasks', undefined, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  const { task, task_token: token } = answer.body
  const [{ id: approval, ask }] = task.approvals
  return { task: { id: task.id, token, asks: [ask], answer }, ask, approval }
}

const show = (id: string) => api.call('GET', `/v1/approvals/${id}`, operator)

/** Signs in for exactly what is shown, and answers. */
async function answer(
  verb: Verb,
  id: string,
  who: Person,
  reason: string | undefined = 'fine',
): Promise<Answer> {
  const { body } = await show(id)
  const id_token = freshToken(server.broker, who, bindingOf(verb, body))
  return api.call('POST', `/v1/approvals/${id}/${verb}`, undefined, { id_token, reason })
}
const approve = (id: string, who: Person = ada) => answer('approve', id, who)
const deny = (id: string, who: Person = ada) => answer('deny', id, who, 'not today')

describe('an ask that waits', () => {
  test('the task is open, its token is handed out, and nothing is minted before a human agrees', async () => {
    const { task, ask, approval } = await waiting({ justification: 'the release needs it' })
    expect(task.answer.headers.get('location')).toBe(`/v1/tasks/${task.id}`)
    expect(Number(task.answer.headers.get('retry-after'))).toBeGreaterThan(0)
    const early = await api.credential(task)
    expect([early.status, early.body.code]).toEqual([409, 'approval_pending'])

    const { body } = await show(approval)
    expect(body).toMatchObject({ state: 'pending', agent: 'release', ask, mints: 1, minted: 0 })
    expect(body.document.untrusted).toEqual({ justification: 'the release needs it' })
    expect(body.digest).toBe(canonicalDigest(body.document))
    expect(body.missing).toMatchObject([{ quorum: 1, has: 0, groups: ['approvers'] }])
    expect((await approve(approval)).body).toMatchObject({ state: 'approved', missing: [] })

    const minted = await api.credential(task)
    expect([minted.status, typeof minted.body.credential]).toEqual([201, 'string'])
    const again = await api.credential(task)
    expect([again.status, again.body.code]).toEqual([409, 'approval_over'])
    expect((await show(approval)).body.minted).toBe(1)
  })

  test('granted asks beside it go on', async () => {
    const { task } = await waiting({ authorization_details: [asks.orders, write] })
    const { body } = await api.show(task)
    expect(body.asks.map((one: { state: string }) => one.state).sort()).toEqual(['granted', 'pending'])
    const granted = body.asks.find((one: { state: string }) => one.state === 'granted').id
    expect((await api.credential(task, granted)).status).toBe(201)
  })

  test('a later ask is taken with 202, its id and the approval', async () => {
    const task = await api.open([asks.orders])
    const later = { authorization_details: [write], justification: 'one more thing' }
    const taken = await api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, later)
    expect([taken.status, taken.body.status]).toEqual([202, 'approval_pending'])
    await approve(taken.body.approval)
    expect((await api.credential(task, taken.body.ask)).status).toBe(201)
  })

  test('Prefer: wait answers as soon as a human has', async () => {
    const { task, approval } = await waiting()
    const waits = fetch(`${server.url}/v1/tasks/${task.id}`, {
      headers: { authorization: `Bearer ${task.token}`, prefer: 'wait=30' },
    })
    await approve(approval)
    const response = await waits
    expect(response.headers.get('preference-applied')).toBe('wait=30')
    expect(((await response.json()) as { asks: { state: string }[] }).asks[0]?.state).toBe('granted')
  })

  test('several mints where humans were asked for several, and no more', async () => {
    const { task, approval } = await waiting({ mints: 2 })
    await approve(approval)
    const statuses = await Promise.all([1, 2, 3, 4].map(async () => (await api.credential(task)).status))
    expect(statuses.sort()).toEqual([201, 201, 409, 409])
  })
})

test('the decision that a mint was allowed by is kept, with the votes, and named by the mint', async () => {
  const { task, approval } = await waiting({ mints: 2 })
  await approve(approval)
  await api.credential(task)
  await api.credential(task)
  const { body } = await api.call('GET', `/v1/tasks/${task.id}/trail`, operator)
  const intended = body.events.filter((one: { event: string }) => one.event === 'lease.intended')
  const named = intended.map((one: { data: { decision: string } }) => one.data.decision)
  expect(new Set(named).size).toBe(2)
  for (const id of named) {
    const { body: decision } = await api.call('GET', `/v1/decisions/${id}`, operator)
    expect(decision).toMatchObject({ outcome: 'allow', policy_hash: 'one', task: task.id })
    expect(decision.facts.asks[0].context.approval).toMatchObject({ count: 1, groups: ['approvers'] })
    expect(body.decisions.map((one: { id: string }) => one.id)).toContain(id)
  }
  const activated = body.events.find((one: { event: string }) => one.event === 'lease.activated')
  expect(activated.data.decision).toBe(named[0])
})

describe('token exchange', () => {
  const exchange = async (extra: Record<string, string> = {}) =>
    api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await installation.jobToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      authorization_details: JSON.stringify([write]),
      ...extra,
    })
  const poll = (token: string, extra: Record<string, string> = {}) =>
    api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:mayfly:oauth:token-type:task_token',
      ...extra,
    })

  test('the first answer names the task; it is polled with the task token; the credential is answered once', async () => {
    const first = await exchange({ justification: 'because' })
    expect([first.status, first.body.error]).toEqual([400, 'authorization_pending'])
    const { task_token: token, approval } = first.body
    expect((await poll(token)).body).toMatchObject({ error: 'authorization_pending', interval: 5 })
    expect((await poll(token)).body.error).toBe('slow_down')
    await approve(approval)
    const done = await poll(token)
    expect([done.status, done.body.token_type, done.body.task_id]).toEqual([
      200,
      'Bearer',
      first.body.task_id,
    ])
    expect((await poll(token)).body.error).toBe('access_denied')
  })

  test('denied is access_denied, too late is expired_token, and other parameters are refused', async () => {
    const first = (await exchange()).body
    await deny(first.approval)
    expect((await poll(first.task_token)).body.error).toBe('access_denied')
    expect((await poll(first.task_token, { authorization_details: '[]' })).body.error).toBe('invalid_request')
    expect((await poll('mft_nobody')).status).toBe(401)
    const granted = await api.open([asks.orders])
    expect((await poll(granted.token)).body.error).toBe('invalid_request')
  })
})

describe('who may answer', () => {
  test('nobody who owns the agent, by whatever name; nobody out of the groups', async () => {
    const { approval } = await waiting()
    const owners: Person[] = [
      { subject: 'eve', email: 'product@acme.test' },
      { subject: 'eve', name: 'Platform@ACME.test ' },
      { subject: 'eve', groups: ['approvers', 'product@acme.test'] },
    ]
    for (const owner of owners) expect((await approve(approval, owner)).status).toBe(403)
    expect((await approve(approval, { subject: 'eve', groups: ['others'] })).status).toBe(403)
    expect((await deny(approval, { subject: 'eve', groups: ['others'] })).status).toBe(403)
    expect((await show(approval)).body).toMatchObject({ state: 'pending', agreed: [] })
  })

  test('an owner may where the rule says so', async () => {
    policy.requires = [requirement({ ownerMay: true })]
    const { task, approval } = await waiting()
    expect((await approve(approval, { subject: 'eve', email: 'product@acme.test' })).status).toBe(200)
    expect((await api.credential(task)).status).toBe(201)
  })

  test('two humans are two: one of them twice is 409', async () => {
    policy.requires = [requirement({ quorum: 2 })]
    const { task, approval } = await waiting()
    expect((await approve(approval)).body).toMatchObject({ state: 'pending', missing: [{ has: 1 }] })
    const twice = await approve(approval)
    expect([twice.status, twice.body.code]).toEqual([409, 'approved_already'])
    expect((await api.credential(task)).body.code).toBe('approval_pending')
    expect((await approve(approval, bob)).body.state).toBe('approved')
    expect((await api.credential(task)).status).toBe(201)
  })

  test('two rules need somebody of each: a count over all groups is not enough', async () => {
    policy.requires = [
      requirement({ policy: 'a', quorum: 2, groups: ['security'] }),
      requirement({ policy: 'b', quorum: 1, groups: ['finance'] }),
    ]
    const { approval } = await waiting()
    await approve(approval, { subject: 's1', groups: ['security'] })
    const second = await approve(approval, { subject: 'f1', groups: ['finance'] })
    expect(second.body).toMatchObject({ state: 'pending', missing: [{ policy: 'a', has: 1 }] })
    expect((await approve(approval, { subject: 's2', groups: ['security'] })).body.state).toBe('approved')
  })

  test('neither the task, nor another task, nor an operator token', async () => {
    const { task, approval } = await waiting()
    const other = await waiting()
    const { body } = await show(approval)
    const id_token = freshToken(server.broker, ada, bindingOf('approve', body))
    for (const token of [task.token, other.task.token, operator]) {
      const refused = await api.call('POST', `/v1/approvals/${approval}/approve`, token, { id_token })
      expect([refused.status, refused.body.code]).toEqual([403, 'forbidden'])
    }
    expect((await api.call('GET', `/v1/approvals/${approval}`, task.token)).status).toBe(403)
    const bare = await api.call('POST', `/v1/approvals/${approval}/approve`, undefined, {})
    expect(bare.status).toBe(400)
    expect((await show(approval)).body.state).toBe('pending')
  })

  test('a sign-in is for one answer to one document: not for another, not the other verb, not twice', async () => {
    const [one, two] = [await waiting(), await waiting()]
    const [first, second] = [(await show(one.approval)).body, (await show(two.approval)).body]
    const send = (id: string, verb: Verb, id_token: string) =>
      api.call('POST', `/v1/approvals/${id}/${verb}`, undefined, { id_token, reason: 'yes' })
    const token = freshToken(server.broker, ada, bindingOf('approve', first))
    for (const refused of [
      await send(second.id, 'approve', token),
      await send(first.id, 'deny', freshToken(server.broker, ada, bindingOf('approve', first))),
      await send(first.id, 'approve', freshToken(server.broker, ada, first.digest)),
    ])
      expect([refused.status, refused.body.code]).toEqual([401, 'fresh_sign_in_needed'])
    expect((await show(second.id)).body.state).toBe('pending')
    policy.requires = [requirement({ quorum: 2 })]
    const third = await waiting()
    const shown = (await show(third.approval)).body
    const good = freshToken(server.broker, ada, bindingOf('approve', shown))
    expect((await send(shown.id, 'approve', good)).status).toBe(200)
    expect((await send(shown.id, 'approve', good)).body.code).toBe('fresh_sign_in_needed')
  })
})

describe('once it is over', () => {
  const ended: [string, (it: Waiting) => Promise<unknown>, string][] = [
    ['denied', ({ approval }) => deny(approval, bob), 'denied'],
    ['the task completed', ({ task }) => api.complete(task), 'cancelled'],
    [
      'expired',
      async () => {
        installation.clock.advance(11 * 60_000)
        await server.look()
      },
      'expired',
    ],
  ]
  test.each(ended)('%s: an answer is 409, and nothing is minted', async (_, end, state) => {
    const it = await waiting({ minutes: 60 })
    const { body } = await show(it.approval)
    const id_token = freshToken(server.broker, ada, bindingOf('approve', body))
    await end(it)
    for (const verb of ['approve', 'deny']) {
      const late = await api.call('POST', `/v1/approvals/${it.approval}/${verb}`, undefined, {
        ...{ id_token, reason: 'late' },
      })
      expect([late.status, late.body.code]).toEqual([409, 'approval_over'])
    }
    expect((await show(it.approval)).body.state).toBe(state)
    expect((await api.credential(it.task)).status).toBe(409)
    expect((await server.broker.ledger.read.ask(it.ask))?.state).toBe(state)
  })

  test('an end of the parent cancels what its child waits for', async () => {
    const coder = { evidence: { type: 'jwt', token: installation.svid('/agent/coder') } }
    const parent = await api.open([asks.orders], coder)
    const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
      ...{ agent: 'reviewer', minutes: 5, authorization_details: [write] },
    })
    const reviewer = { type: 'jwt', token: installation.svid('/agent/reviewer') }
    const child = await waiting({ evidence: reviewer, ticket: ticket.body.ticket })
    await api.complete(parent)
    expect((await show(child.approval)).body).toMatchObject({ state: 'cancelled' })
  })
})

describe('more time', () => {
  const extend = ({ id, token }: OpenedTask) =>
    api.call('POST', `/v1/tasks/${id}/extend`, token, { minutes: 50, reason: 'longer' })

  test('is not given to what needs approval now and has none', async () => {
    policy.requires = []
    const evidence = { type: 'jwt', token: await installation.jobToken() }
    const task = await api.open([write], { evidence })
    policy.requires = [requirement()]
    const refused = await extend(task)
    expect([refused.status, refused.body]).toMatchObject([403, { code: 'ask_denied' }])
    expect(refused.body.detail).toContain('needs approval')
    const kept = await server.broker.ledger.read.decision(refused.body.decision)
    expect(kept?.outcome).toBe('deny')
  })

  test('is given to what was approved, unless more humans are wanted by now', async () => {
    const { task, approval } = await waiting()
    await approve(approval)
    expect((await extend(task)).status).toBe(200)
    policy.requires = [requirement({ quorum: 2 })]
    expect((await extend(task)).body.code).toBe('ask_denied')
  })
})

test('a credential lives on by an approval that the broker wrote, and by no other', async () => {
  const { task: opened, approval, ask } = await waiting()
  await approve(approval)
  await api.credential(opened)
  const { broker } = server
  const { read } = broker.ledger
  const [lease] = (await read.leases({ task: opened.id }, { limit: 1 })).items
  const task = (await read.task(opened.id))!
  const live = { task, above: [], lease: lease!, bounds: await boundsOf(broker, [task]) }
  expect(await judgeLive(broker, live)).toBeUndefined()
  const row = (await read.approvalOf(ask))!
  const altered = { ...row, requires: JSON.stringify([requirement({ quorum: 9 })]) }
  const ledger = { ...broker.ledger, read: { ...read, approvalOf: async () => altered } }
  expect(await judgeLive({ ...broker, ledger }, live)).toMatchObject({
    outcome: 'deny',
    reasons: expect.stringContaining('humans have not agreed to as much'),
  })
})

describe('what was approved is what is minted', () => {
  const ledger = () => server.broker.ledger
  /** Swaps rows as somebody could who writes to the database, or changes what the mint stands on. */
  const swaps: [string, (it: Waiting) => Promise<unknown>][] = [
    [
      'the ask: other permissions',
      it => swapAsk(it, { repositories: [{ id: 1, name: 'acme/api' }], permissions: { issues: 'write' } }),
    ],
    [
      'the ask: another repository',
      it => swapAsk(it, { repositories: [{ id: 2, name: 'acme/web' }], permissions: { contents: 'write' } }),
    ],
    [
      'the deadline',
      ({ task }) =>
        api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, { minutes: 50, reason: 'longer' }),
    ],
    [
      'the policy',
      async () => {
        policy.version = 'two'
      },
    ],
    [
      'the settings of the issuer',
      async () => {
        server.broker.issuerDigests = new Map([...server.broker.issuerDigests, ['github', 'other']])
      },
    ],
    [
      'the agent',
      async () => {
        const release = { ...installation.agents.release!, purpose: 'Releases something else' }
        await installation.configure({ agents: { release } })
        await server.reload()
      },
    ],
  ]

  async function swapAsk(it: Waiting, to: object): Promise<void> {
    const read = ledger().read.ask
    const swapped = async (id: string) => {
      const row = await read(id)
      return row?.id === it.ask ? { ...row, ask: JSON.stringify(to) } : row
    }
    server.broker.ledger = { ...ledger(), read: { ...ledger().read, ask: swapped } }
  }

  test.each(swaps)('%s was changed after the approval: cancelled, and asked anew', async (_, swap) => {
    const { ledger: real, issuerDigests } = server.broker
    const it = await waiting({ minutes: 30 })
    expect((await approve(it.approval)).body.state).toBe('approved')
    await swap(it)
    const refused = await api.credential(it.task)
    expect(['approval_pending', 'ask_denied']).toContain(refused.body.code)
    expect((await real.read.leases({ task: it.task.id }, { limit: 9 })).items).toEqual([])
    if (refused.body.code === 'approval_pending') {
      expect((await show(it.approval)).body).toMatchObject({ state: 'cancelled', minted: 0 })
      const next = await real.read.approvalOf(it.ask)
      expect([next?.id === it.approval, next?.state]).toEqual([false, 'pending'])
      // Somebody agrees to what it is now, and it is minted.
      if ((await approve(next!.id, bob)).status === 200)
        expect((await api.credential(it.task)).status).not.toBe(409)
    }
    Object.assign(server.broker, { ledger: real, issuerDigests })
    await installation.configure({})
    await server.reload()
  })

  test('policy is judged again at the mint: what it denies by then is denied, and more is asked for', async () => {
    const one = await waiting()
    await approve(one.approval)
    policy.deny = true
    expect((await api.credential(one.task)).body.code).toBe('ask_denied')
    policy.deny = false
    policy.requires = [requirement({ quorum: 2 })]
    expect((await api.credential(one.task)).body.code).toBe('approval_pending')
    expect((await show(one.approval)).body.state).toBe('cancelled')
  })

  test('votes that no broker wrote agree to nothing', async () => {
    const it = await waiting()
    const forged = { approval: it.approval, human: 'x#forger', name: 'forger', groups: '["approvers"]' }
    await ledger().write(async tx => {
      await tx.insertVote({ ...forged, owner: 0, voted_at: tx.now, preapproval: null, mac: 'forged' })
      await tx.answerApproval(it.approval, { state: 'approved', by: 'forger', reason: null })
      await tx.moveAsk(it.ask, ['pending'], 'granted')
    })
    expect((await api.credential(it.task)).status).toBe(500)
    expect((await ledger().read.leases({ task: it.task.id }, { limit: 9 })).items).toEqual([])
  })

  test('of an ask that a writer to the database calls granted, nothing is minted', async () => {
    const it = await waiting()
    await ledger().write(tx => tx.moveAsk(it.ask, ['pending'], 'granted'))
    expect((await api.credential(it.task)).body.code).toBe('approval_pending')
  })

  test('a mint that the provider refused is given back', async () => {
    const it = await waiting()
    await approve(it.approval)
    const { faults } = installation.github
    installation.github.faults = ({ operation }) =>
      operation === 'apps/create-installation-access-token' ? { status: 422, body: '{}' } : 'ok'
    const refused = await api.credential(it.task)
    installation.github.faults = faults
    expect(refused.body.code).toBe('provider_refused')
    expect((await show(it.approval)).body.minted).toBe(0)
    expect((await api.credential(it.task)).status).toBe(201)
  })
})

test('what it was given after it had asked does not make the phase a usual one', async () => {
  installation.clock.advance(31 * 24 * 60 * 60_000)
  operator = await operatorTokenOf(server)
  const it = await waiting()
  expect((await show(it.approval)).body.unusual.phase).toBe(true)
  await approve(it.approval)
  expect((await api.credential(it.task)).status).toBe(201)
  expect((await show(it.approval)).body.unusual).toMatchObject({ phase: true, complete: true })
  await api.complete(it.task)
})
