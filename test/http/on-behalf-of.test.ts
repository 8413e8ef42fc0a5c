/** Agents that act on behalf of humans, through the port: what each side proves, and what neither can do alone. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { approve } from '../../src/broker/approvals/answer-approval.ts'
import { sessionNonce } from '../../src/broker/people/operator-nonce.ts'
import type { Operator } from '../../src/broker/people/operators.ts'
import { unblock } from '../../src/broker/revocations/revocations.ts'
import { announceRestored } from '../../src/broker/tasks/restored.ts'
import { AlteredRow, verifiedTask } from '../../src/broker/verified-rows.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, ORDERS, RESOURCE_SERVER, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { createDelegation, type Delegation, HUMANS } from '../support/delegation.ts'
import { operatorTokenOf } from '../support/operator.ts'

let installation: Delegation
let broker: RunningServer
let api: Api
let operator: string

beforeAll(async () => {
  installation = await createDelegation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})
beforeEach(() => installation.github.setCollaborator(1, { login: 'hanna', role: 'write' }))

const jwt = (token: string) => ({ type: 'jwt', token })
const svid = (name: string) => jwt(installation.svid(`/agent/${name}`))
const lastEvents = async (count: number) => {
  const page = await broker.broker.ledger.read.audit({}, { limit: 1_000 })
  return page.items.slice(-count).map(row => ({ event: row.event, ...JSON.parse(row.data) }))
}

const openFor = async (wanted: unknown[], extra: Record<string, unknown> = {}) =>
  api.call('POST', '/v1/tasks', undefined, {
    ...{ evidence: jwt(await installation.jobToken()), purpose: 'for Hanna' },
    ...{ on_behalf_of: jwt(await installation.humanToken()), authorization_details: wanted, ...extra },
  })

const opened = (answer: Answer): OpenedTask => {
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  const { task, task_token } = answer.body
  return { id: task.id, token: task_token, asks: task.asks.map((ask: { id: string }) => ask.id), answer }
}

const ticketFor = async (parent: OpenedTask, wanted: unknown[], agent = 'reviewer') => {
  const body = { agent, minutes: 10, authorization_details: wanted }
  const answer = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body.ticket as string
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

const exchange = async (fields: Record<string, string>) =>
  api.form('/oauth/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    authorization_details: JSON.stringify([asks.orders]),
    ...fields,
  })
const type = (name: string) => `urn:ietf:params:oauth:token-type:${name}`

describe('on behalf of a human', () => {
  test('subject and actor are exchanged for a token whose subject is the human', async () => {
    const answer = await exchange({
      ...{ subject_token: await installation.humanToken(), subject_token_type: type('id_token') },
      ...{ actor_token: await installation.jobToken(), actor_token_type: type('jwt') },
    })
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    const parties = { sub: installation.hanna, act: { sub: 'release' }, client_id: 'release', aud: ORDERS }
    expect(claimsOf(answer.body.access_token)).toMatchObject(parties)
    const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
    const seen = await api.form(
      '/oauth/introspect',
      { token: answer.body.access_token },
      { authorization: `Basic ${basic}` },
    )
    expect(seen.body).toMatchObject({ active: true, ...parties })
  })

  test('without a human a token says what it always said', async () => {
    const answer = await exchange({
      ...{ subject_token: await installation.jobToken(), subject_token_type: type('id_token') },
    })
    expect(claimsOf(answer.body.access_token)).toMatchObject({ sub: 'release' })
    expect(claimsOf(answer.body.access_token)).not.toHaveProperty('act')
  })

  test('a child has its parent’s human, and the chain is in its token', async () => {
    const root = opened(await openFor([], { evidence: svid('coder') }))
    const ticket = await ticketFor(root, [asks.orders])
    const child = await api.open([asks.orders], { evidence: svid('reviewer'), ticket })
    expect(child.answer.body.task.on_behalf_of).toMatchObject({ id: installation.hanna, name: 'Hanna' })
    const { credential } = (await api.credential(child)).body
    const act = { sub: 'reviewer', act: { sub: 'coder' } }
    expect(claimsOf(credential)).toMatchObject({ sub: installation.hanna, act })
  })

  test('a child is simulated on behalf of its parent’s human, whom its agent has to act for', async () => {
    const root = opened(await openFor([], { evidence: svid('coder') }))
    const body = { evidence: svid('reviewer'), ticket: await ticketFor(root, [asks.orders]) }
    const simulate = async () =>
      (
        await api.call('POST', '/v1/policies/simulate', operator, {
          ...body,
          authorization_details: [asks.orders],
        })
      ).body
    expect(await simulate()).toMatchObject({ outcome: 'allow', facts: { human: { name: 'Hanna' } } })
    await installation.configure({ agents: { reviewer: installation.agents.reviewer! } })
    await broker.reload()
    try {
      expect(await simulate()).toMatchObject({
        ...{ outcome: 'deny', stage: 'match' },
        reasons: ['reviewer may not act for Hanna: none of their groups is in its may_act_for'],
      })
    } finally {
      await installation.configure({})
      await broker.reload()
    }
  })

  test('the record says who it was for, and holds no token', async () => {
    const human = await installation.humanToken()
    const task = opened(await openFor([asks.apiRead], { on_behalf_of: jwt(human) }))
    const trail = await api.call('GET', `/v1/tasks/${task.id}/trail`, operator)
    const who = { id: installation.hanna, subject: 'hanna', name: 'Hanna', groups: ['engineering'] }
    expect(trail.body.task.on_behalf_of).toMatchObject(who)
    expect(trail.body.events[0].data.on_behalf_of).toBe(installation.hanna)
    const { decision } = task.answer.body
    const explained = await api.call('GET', `/v1/decisions/${decision}`, operator)
    expect(JSON.stringify(explained.body)).toContain('"Hanna"')
    await api.complete(task)
    await api.until(task, 'settled')
    const row = await broker.broker.ledger.read.task(task.id)
    expect(JSON.stringify([row, trail.body, explained.body])).not.toContain(human.split('.')[1])
  })

  test('a receipt names the human', async () => {
    const task = opened(await openFor([]))
    await api.complete(task)
    await api.until(task, 'settled')
    let answer: Answer
    do answer = await api.call('GET', `/v1/tasks/${task.id}/receipt`, task.token)
    while (answer.status === 409)
    expect(answer.body.content.task.on_behalf_of).toMatchObject({ subject: 'hanna', name: 'Hanna' })
  })

  test('a lost answer is asked for again with both tokens, and once', async () => {
    const on_behalf_of = jwt(await installation.humanToken())
    const again = () => openFor([], { on_behalf_of, evidence: svid('coder') })
    const lost = opened(await again())
    installation.clock.advance(2_000)
    const second = opened(await again())
    expect(second.id).not.toBe(lost.id)
    await api.show(second)
    installation.clock.advance(2_000)
    expect((await again()).status).toBe(401)
  })
})

describe('what is no proof', () => {
  const REFUSED = { status: 401, body: { code: 'evidence_rejected' } }

  test('subject and actor the wrong way round', async () => {
    const answer = await exchange({
      ...{ subject_token: await installation.jobToken(), subject_token_type: type('id_token') },
      ...{ actor_token: await installation.humanToken(), actor_token_type: type('id_token') },
    })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  test.each([
    ['an actor without its type', { actor_token: 'x' }],
    ['a type without an actor', { actor_token_type: type('jwt') }],
    [
      'an access token as the subject',
      { actor_token: 'x', actor_token_type: type('jwt'), subject_token_type: type('access_token') },
    ],
    ['an access token as the actor', { actor_token: 'x', actor_token_type: type('access_token') }],
  ])('%s', async (_, fields) => {
    const subject = { subject_token: await installation.humanToken(), subject_token_type: type('id_token') }
    const answer = await exchange({ ...subject, ...fields } as Record<string, string>)
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  test('a human’s token, the second time', async () => {
    const on_behalf_of = jwt(await installation.humanToken())
    opened(await openFor([], { on_behalf_of }))
    expect(await openFor([], { on_behalf_of })).toMatchObject(REFUSED)
    expect(await openFor([], { on_behalf_of, evidence: svid('coder') })).toMatchObject(REFUSED)
    expect((await lastEvents(1))[0]).toMatchObject({ event: 'evidence.replayed' })
  })

  test('a human’s token as evidence', async () => {
    const evidence = jwt(await installation.humanToken())
    expect(await openFor([], { evidence, on_behalf_of: undefined })).toMatchObject(REFUSED)
  })

  test.each<[string, string, (own: Delegation) => Promise<string>]>([
    ['an agent’s token as a human’s', 'audience_wrong', own => own.jobToken()],
    ['a SVID as a human’s', 'issuer_not_trusted', async own => own.svid('/agent/coder')],
    ['for another audience', 'audience_wrong', own => own.humanToken({ aud: 'other' })],
    ['for two audiences', 'audience_wrong', own => own.humanToken({ aud: [HUMANS, 'other'] })],
    ['for another client', 'audience_wrong', own => own.humanToken({ azp: 'somebody' })],
    [
      'of six minutes ago',
      'too_old',
      own => own.humanToken({ iat: seconds(own) - 400, exp: seconds(own) + 60 }),
    ],
    [
      'that is expired',
      'expired',
      own => own.humanToken({ exp: seconds(own) - 120, iat: seconds(own) - 200, nbf: undefined }),
    ],
    ['whose groups cannot be read', 'claim_malformed', own => own.humanToken({ groups: [1] })],
  ])('%s', async (_, rejection, token) => {
    const answer = await openFor([], { on_behalf_of: jwt(await token(installation)) })
    expect(answer).toMatchObject(REFUSED)
    expect((await lastEvents(1))[0]).toMatchObject({ event: 'evidence.rejected', rejection })
  })

  const seconds = ({ clock }: Delegation) => Math.floor(clock.now() / 1_000)

  test('the identity provider is down: nobody’s fault', async () => {
    const on_behalf_of = jwt(await installation.signInAs('cleo', { claims: { aud: HUMANS } }))
    installation.people.setDown(true)
    try {
      const answer = await openFor([], { on_behalf_of })
      expect([answer.status, answer.body.code]).toEqual([503, 'attestation_unavailable'])
    } finally {
      installation.people.setDown(false)
      // A key set that could not be had is not asked for again at once.
      installation.clock.advance(120_000)
    }
  })

  test('a sign-in of an operator, and a human’s token as a sign-in', async () => {
    const signedIn = await installation.signInAs('cleo')
    expect(await openFor([], { on_behalf_of: jwt(signedIn) })).toMatchObject(REFUSED)
    const { challenge } = (await api.call('POST', '/v1/operator-sessions/challenge', undefined, {})).body
    const id_token = await installation.signInAs('cleo', {
      nonce: sessionNonce(challenge),
      claims: { aud: HUMANS },
    })
    const session = await api.call('POST', '/v1/operator-sessions', undefined, { challenge, id_token })
    expect(session).toMatchObject(REFUSED)
  })
})

describe('who may act for whom', () => {
  test('an agent that may act for nobody of these groups', async () => {
    const on_behalf_of = jwt(await installation.humanToken({ groups: ['sales'] }))
    const answer = await openFor([asks.orders], { on_behalf_of })
    expect([answer.status, answer.body.code]).toEqual([403, 'ask_denied'])
    const decision = await api.call('GET', `/v1/decisions/${answer.body.decision}`, operator)
    expect(JSON.stringify(decision.body)).toContain('may not act for')
  })

  test('a child names no other human, and cannot be without one', async () => {
    const root = opened(await openFor([], { evidence: svid('coder') }))
    const other = jwt(await installation.humanToken({ sub: 'eve' }))
    const ticket = await ticketFor(root, [asks.orders])
    const named = await openFor([], { evidence: svid('reviewer'), ticket, on_behalf_of: other })
    expect([named.status, named.body.code]).toEqual([400, 'request_invalid'])
    const child = await api.open([asks.orders], { evidence: svid('reviewer'), ticket })
    expect((await broker.broker.ledger.read.task(child.id))?.human).toBe(installation.hanna)
  })

  test('a child whose agent may not act for the human is not opened', async () => {
    const root = opened(await openFor([], { evidence: svid('coder') }))
    const ticket = await ticketFor(root, [asks.orders])
    await installation.configure({ agents: { reviewer: { ...installation.agents.reviewer } } })
    await broker.reload()
    const body = { evidence: svid('reviewer'), ticket, purpose: 'p', authorization_details: [asks.orders] }
    const child = await api.call('POST', '/v1/tasks', undefined, body)
    expect([child.status, child.body.code]).toEqual([403, 'ask_denied'])
    await installation.configure({})
    await broker.reload()
  })

  test('what lives ends when the agent may no longer act for them', async () => {
    const task = opened(await openFor([asks.orders]))
    await installation.configure({ agents: { release: { ...installation.agents.release } } })
    await broker.reload()
    await broker.look()
    expect((await api.until(task, 'ended')).body).toMatchObject({
      end: 'revoked',
      end_detail: 'the agent may no longer act for this human',
    })
    await installation.configure({})
    await broker.reload()
  })
})

describe('at GitHub, no more than the human', () => {
  const outcome = ({ status, body }: Answer) => [status, body.code]
  const DENIED = [403, 'ask_denied']

  test('a human with access: yes, and the broker’s own token is dead again', async () => {
    const task = opened(await openFor([asks.api]))
    expect((await api.credential(task)).status).toBe(201)
    await api.complete(task)
    await api.until(task, 'settled')
    await broker.look()
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test.each([
    ['without an account', { github_login: undefined }],
    ['whose account nobody has', { github_login: 'nobody', github_id: 1 }],
    ['whose login is another’s by now', { github_id: 4712 }],
    ['whose account has no number', { github_id: undefined }],
  ])('a human %s', async (_, claims) => {
    const on_behalf_of = jwt(await installation.humanToken(claims))
    expect(outcome(await openFor([asks.apiRead], { on_behalf_of }))).toEqual(DENIED)
  })

  test.each([
    ['read', [201, 403]],
    ['triage', [201, 403]],
    ['write', [201, 201]],
    ['maintain', [201, 201]],
    ['admin', [201, 201]],
  ])('a human with %s', async (role, expected) => {
    installation.github.setCollaborator(1, { login: 'hanna', role })
    const found = [await openFor([asks.apiRead]), await openFor([asks.api])]
    expect(found.map(({ status }) => status)).toEqual(expected)
  })

  test('a human who was removed from the repository between open and mint', async () => {
    const task = opened(await openFor([asks.api]))
    installation.github.removeCollaborator(1, 'hanna')
    expect(outcome(await api.credential(task))).toEqual(DENIED)
    const more = { authorization_details: [asks.apiRead] }
    expect(outcome(await api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, more))).toEqual(
      DENIED,
    )
  })

  test('a child of a human without access has none either', async () => {
    const root = opened(await openFor([], { evidence: svid('coder') }))
    const ticket = await ticketFor(root, [asks.apiRead])
    installation.github.removeCollaborator(1, 'hanna')
    const body = { evidence: svid('reviewer'), ticket, purpose: 'p', authorization_details: [asks.apiRead] }
    expect(outcome(await api.call('POST', '/v1/tasks', undefined, body))).toEqual(DENIED)
  })

  test.each(['before', 'after'] as const)(
    'GitHub does not say (%s): an outage, and no credential',
    async when => {
      const operation = 'repos/get-collaborator-permission-level'
      const before = installation.github.credentials().length
      installation.github.faults = call =>
        call.operation === operation && call.when === when ? { status: 502 } : 'ok'
      try {
        expect(outcome(await openFor([asks.api]))).toEqual([503, 'provider_unavailable'])
      } finally {
        installation.github.faults = () => 'ok'
      }
      await broker.look()
      const since = installation.github.credentials().slice(before)
      expect(since.every(one => one.permissions.contents === undefined && !one.alive)).toBe(true)
    },
  )
})

test.each([
  ['taken out', { human: null, human_facts: null }],
  ['another', { human: 'https://id.test#eve' }],
  ['in another group', { human_facts: '{"groups":["admins"]}' }],
])('a human who is %s in the ledger: the row is refused', async (_, altered) => {
  const task = opened(await openFor([]))
  const row = (await broker.broker.ledger.read.task(task.id))!
  expect(() => verifiedTask(broker.broker, { ...row, ...altered })).toThrow(AlteredRow)
})

describe('policy and approval', () => {
  let before: typeof broker.broker.policy
  beforeAll(() => {
    before = broker.broker.policy
  })
  afterEach(() => {
    broker.broker.policy = before
  })

  test('the human is judged beside the agent', async () => {
    const judged: (string | undefined)[] = []
    broker.broker.policy = {
      ...askingPolicy(),
      async judge({ human }) {
        judged.push(human?.subject)
        const nothing = { determining: [], reasons: ['not for Hanna'], requires: [], nearest: [] }
        return { ...nothing, outcome: human?.subject === 'hanna' ? 'deny' : 'allow' }
      },
    }
    expect((await openFor([asks.orders])).body.code).toBe('ask_denied')
    await api.open([asks.orders])
    expect(judged).toEqual(['hanna', undefined])
  })

  test('what policy keeps from a parent it keeps from the child', async () => {
    const root = await api.open([], { evidence: svid('coder') })
    const ticket = await ticketFor(root, [asks.orders])
    const nothing = { determining: [], reasons: ['not for the coder'], requires: [], nearest: [] }
    broker.broker.policy = {
      ...askingPolicy(),
      judge: async ({ agent }) => ({ ...nothing, outcome: agent.name === 'coder' ? 'deny' : 'allow' }),
    }
    const body = { evidence: svid('reviewer'), ticket, purpose: 'p', authorization_details: [asks.orders] }
    expect((await api.call('POST', '/v1/tasks', undefined, body)).body.code).toBe('ask_denied')
  })

  test('whoever it is asked on behalf of cannot approve it; another human can', async () => {
    broker.broker.policy = askingPolicy()
    const claims = { aud: HUMANS, groups: ['engineering'], github_login: 'hanna', github_id: 4711 }
    const on_behalf_of = jwt(await installation.signInAs('cleo', { claims }))
    const waiting = await openFor([asks.api], { on_behalf_of })
    expect(waiting.status, JSON.stringify(waiting.body)).toBe(202)
    const approval = await broker.broker.ledger.read.approvalOf(waiting.body.task.asks[0].id)
    expect(JSON.parse(approval!.document).on_behalf_of).toMatchObject({ subject: 'cleo' })
    const human = (subject: string, more = {}): Operator => ({
      ...{ id: `${installation.people.issuer}#${subject}`, name: subject, groups: ['approvers'] },
      ...{ kind: 'human', fresh: true, ...more },
    })
    const own = approve(broker.broker, human('cleo'), approval!.id, null)
    await expect(own).rejects.toMatchObject({ code: 'forbidden' })
    expect(await approve(broker.broker, human('dan'), approval!.id, null)).toMatchObject({
      state: 'approved',
    })
  })
})

describe('the switch for a human', () => {
  test('everything on their behalf ends, to the last token, and nothing of it begins', async () => {
    const root = opened(await openFor([asks.api], { evidence: svid('coder') }))
    const ticket = await ticketFor(root, [asks.apiRead])
    const child = await api.open([asks.apiRead], { evidence: svid('reviewer'), ticket })
    const bystander = await api.open([asks.api])
    const tokens: string[] = []
    for (const task of [root, child, bystander]) tokens.push((await api.credential(task)).body.credential)
    const listed = await api.call(
      'GET',
      `/v1/tasks?state=active&human=${encodeURIComponent(installation.hanna)}`,
      operator,
    )
    const ids = listed.body.items.map((one: { id: string }) => one.id)
    expect(ids).toEqual(expect.arrayContaining([root.id, child.id]))
    expect(ids).not.toContain(bystander.id)

    const order = { human: installation.hanna, reason: 'Hanna has left', hold: true }
    const dry = await api.call('POST', '/v1/revocations', operator, { ...order, hold: false, dry_run: true })
    expect(dry.body.tasks.map((one: { id: string }) => one.id)).not.toContain(bystander.id)
    const switched = await api.call('POST', '/v1/revocations', operator, order)
    expect(switched.status).toBe(202)
    await api.until(root, 'settled')
    await api.until(child, 'settled')
    expect(await Promise.all(tokens.map(statusOf))).toEqual([401, 401, 200])

    expect((await openFor([])).body.code).toBe('blocked')
    opened(await openFor([], { on_behalf_of: jwt(await installation.humanToken({ sub: 'eve' })) }))
    await unblock(broker.broker, switched.body.id, 'operator:test')
  })

  test('a chain is shown whole, and killed as one', async () => {
    const root = opened(await openFor([asks.api], { evidence: svid('coder') }))
    const child = await api.open([asks.apiRead], {
      ...{ evidence: svid('reviewer'), ticket: await ticketFor(root, [asks.apiRead]) },
    })
    const tokens = [await api.credential(root), await api.credential(child)].map(one => one.body.credential)
    const trail = await api.call('GET', `/v1/tasks/${child.id}/trail`, operator)
    expect(trail.body.ancestors.map((one: { id: string }) => one.id)).toEqual([root.id])
    const above = await api.call('GET', `/v1/tasks/${root.id}/trail`, operator)
    expect(above.body.descendants.map((one: { id: string }) => one.id)).toEqual([child.id])
    await api.call('POST', '/v1/revocations', operator, { task: root.id, reason: 'stop' })
    await api.until(child, 'settled')
    await api.until(root, 'settled')
    expect(await Promise.all(tokens.map(statusOf))).toEqual([401, 401])
  })

  async function statusOf(token: string): Promise<number> {
    const url = `${installation.github.url}/repos/acme/api/contents/README.md`
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'test' }
    return (await fetch(url, { headers })).status
  }
})

test('a human’s token from before a restore is refused', async () => {
  const on_behalf_of = jwt(
    await installation.humanToken({ iat: Math.floor(installation.clock.now() / 1_000) - 120 }),
  )
  await announceRestored(broker.broker, 'operator:test')
  const answer = await openFor([], { on_behalf_of })
  expect([answer.status, answer.body.code]).toEqual([401, 'evidence_rejected'])
})
