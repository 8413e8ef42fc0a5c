/** Rows C9, C10 and J8: evidence and tickets that were used, in the same words, in others, and all at once. */
import { describe, expect, test } from 'vitest'
import { ecdsaTwinOf, spellingsOf } from '../fakes/identity/spellings.ts'
import { asks } from '../fakes/installation.ts'
import { attackedBroker, exchangeRequest, openRequest, type State } from './attacked-broker.ts'
import { expectEvidenceRefused, expectRefused } from './refusals.ts'
import type { Reply } from './request.ts'

const it = attackedBroker()

const RACERS = 50

/** So many tasks, and as many leases, more than before. */
const more = (before: State, tasks: number, leases: number): State => ({
  ...before,
  tasks: before.tasks + tasks,
  leases: before.leases + leases,
})

/** All at one moment; the losers' answers are the one refusal. */
async function race(requests: readonly (() => Promise<Reply>)[]): Promise<{ won: Reply[]; lost: Reply[] }> {
  const replies = await it.atOneMoment(() => Promise.all(requests.map(send => send())))
  return { won: replies.filter(one => one.status < 300), lost: replies.filter(one => one.status >= 300) }
}

describe('C10: races', () => {
  const times = (send: () => Promise<Reply>) => Array.from({ length: RACERS }, () => send)

  test('the same exchange, fifty times at once, is answered once', async () => {
    const before = await it.state()
    const token = it.goodToken()
    const { won, lost } = await race(times(() => it.exchange(token)))
    expect(won.map(reply => reply.status)).toEqual([200])
    for (const reply of lost) expectRefused('/oauth/token', reply, 'a loser')
    await it.expectUnharmed(more(before, 1, 1))
  })

  test('the same evidence, fifty times at once for different purposes, opens one task', async () => {
    const before = await it.state()
    const token = it.goodToken()
    const requests = Array.from({ length: RACERS }, (_, at) => () => it.open(token, { purpose: `${at}` }))
    const { won, lost } = await race(requests)
    expect(won.map(reply => reply.status)).toEqual([201])
    for (const reply of lost) expectRefused('/v1/tasks', reply, 'a loser')
    await it.expectUnharmed(more(before, 1, 0))
  })

  test('evidence and its ECDSA twin, at both doors at once, count as one', async () => {
    const before = await it.state()
    const token = it.goodToken()
    const spelled = [token, ecdsaTwinOf(token)]
    const requests = spelled.flatMap(one => [
      ...Array.from({ length: 10 }, () => () => it.exchange(one)),
      ...Array.from({ length: 10 }, () => () => it.open(one)),
    ])
    const { won, lost } = await race(requests)
    expect(won).toHaveLength(1)
    expect(new Set(lost.map(reply => reply.text)).size).toBe(2)
    const leases = won[0]!.status === 200 ? 1 : 0
    await it.expectUnharmed(more(before, 1, leases))
  })
})

describe('C9 and J8: replays', () => {
  const used = async () => {
    const token = it.goodToken()
    const answer = JSON.parse((await it.exchange(token)).text) as { task_id: string; task_token: string }
    await it.send({ method: 'GET', path: `/v1/tasks/${answer.task_id}`, token: answer.task_token })
    return { token, ...answer }
  }

  test('in the same words, its twin, every other spelling, and another token of the same jti', async () => {
    const jti = 'used once'
    const token = it.goodToken({ jti })
    expect((await it.open(token)).status).toBe(201)
    const before = await it.state()
    for (const twin of [
      ecdsaTwinOf(token),
      ...spellingsOf(token).slice(0, 8),
      it.goodToken({ jti }),
      it.goodToken({ jti, team: 'x' }),
    ])
      await expectEvidenceRefused(it, twin, 'a replay')
    await it.expectUnharmed(before)
  })

  test('after the task was used, at every door, with any change', async () => {
    const { token } = await used()
    const before = await it.state()
    it.installation.clock.advance(1_500)
    await expectEvidenceRefused(it, token, 'a replay')
    const changes: Record<string, string>[] = [
      {},
      { purpose: 'other' },
      { agent: 'runner' },
      { minutes: '5' },
      { agent: 'nobody' },
    ]
    for (const change of changes)
      expectRefused('/oauth/token', await it.exchange(token, change), JSON.stringify(change))
    await it.expectUnharmed(before)
  })

  test('after the task has ended', async () => {
    const { token, task_id, task_token } = await used()
    await it.send({
      method: 'POST',
      path: `/v1/tasks/${task_id}/complete`,
      token: task_token,
      type: 'application/json',
      body: '{"outcome":"completed"}',
    })
    const before = await it.state()
    await expectEvidenceRefused(it, token, 'a replay')
    await it.expectUnharmed(before)
  })

  test('after the window in which a lost answer may be asked for again', async () => {
    const token = it.goodToken()
    expect((await it.exchange(token)).status).toBe(200)
    const before = await it.state()
    it.installation.clock.advance(121_000)
    await expectEvidenceRefused(it, token, 'a late retry')
    await it.expectUnharmed(before)
  })

  test('once it has expired, however long ago it was used', async () => {
    const { token } = await used()
    const before = await it.state()
    it.installation.clock.advance(362_000)
    await it.running.broker.ledger.write(tx => tx.prune(1_000))
    await expectEvidenceRefused(it, token, 'a stale replay')
    await it.expectUnharmed(before)
  })
})

describe('tickets', () => {
  const child = (ticket: string, changes: Record<string, unknown> = {}) =>
    it.send(
      openRequest(it.installation.svid('/agent/reviewer'), { ticket, authorization_details: [], ...changes }),
    )

  async function openParent(): Promise<{ id: string; token: string }> {
    const reply = await it.open(it.installation.svid('/agent/coder'), { authorization_details: [] })
    const { task, task_token } = JSON.parse(reply.text) as { task: { id: string }; task_token: string }
    return { id: task.id, token: task_token }
  }

  async function openTicket(parent: { id: string; token: string }, changes: object = {}): Promise<Reply> {
    const body = { agent: 'reviewer', minutes: 5, authorization_details: [asks.orders], ...changes }
    const path = `/v1/tasks/${parent.id}/tickets`
    return it.send({
      method: 'POST',
      path,
      token: parent.token,
      type: 'application/json',
      body: JSON.stringify(body),
    })
  }

  const ticketOf = (reply: Reply) => (JSON.parse(reply.text) as { ticket: string }).ticket

  const REJECTED = {
    type: 'urn:mayfly:problem:ticket_rejected',
    title: 'The ticket was not accepted',
    status: 403,
    code: 'ticket_rejected',
    detail: 'the ticket is unknown, used, past its time, or for another agent',
  }
  const expectTicketRefused = (reply: Reply) => {
    expect(reply.status).toBe(403)
    expect(JSON.parse(reply.text)).toEqual(REJECTED)
  }

  test('fifty redemptions at once open one child', async () => {
    const ticket = ticketOf(await openTicket(await openParent()))
    const before = await it.state()
    const { won, lost } = await race(Array.from({ length: RACERS }, () => () => child(ticket)))
    expect(won.map(reply => reply.status)).toEqual([201])
    for (const reply of lost) expectTicketRefused(reply)
    await it.expectUnharmed(more(before, 1, 0))
  })

  test('used, misspelled, unknown, of another kind, past its time, or of a task that ended', async () => {
    const parent = await openParent()
    const used = ticketOf(await openTicket(parent))
    expect((await child(used)).status).toBe(201)
    const open = ticketOf(await openTicket(parent))
    const ended = await openParent()
    const orphan = ticketOf(await openTicket(ended))
    await it.send({
      method: 'POST',
      path: `/v1/tasks/${ended.id}/complete`,
      token: ended.token,
      type: 'application/json',
      body: '{"outcome":"failed"}',
    })
    const before = await it.state()
    for (const ticket of [
      used,
      orphan,
      '',
      ' ',
      open.toUpperCase(),
      ` ${open}`,
      `${open}\n`,
      `${open}=`,
      open.slice(0, -1),
      open.replace('mfk_', 'mft_'),
      parent.token,
      it.ownTokens.access,
      '__proto__',
      '\0',
      'x'.repeat(5_000),
    ])
      expectTicketRefused(await child(ticket))
    expectTicketRefused(await it.open(it.goodToken(), { ticket: open, authorization_details: [] }))
    it.installation.clock.advance(601_000)
    expectTicketRefused(await child(open))
    await it.expectUnharmed(before)
  })

  test('T10 a child beyond its ticket, its ceiling or its depth', async () => {
    const parent = await openParent()
    const write = { ...asks.orders, scopes: ['orders.write'] }
    const tooMuch = { ...asks.orders, scopes: ['orders.read', 'orders.admin'] }
    for (const [what, changes] of [
      ['an agent that is not delegated to', { agent: 'release' }],
      ['itself', { agent: 'coder' }],
      ['nobody', { agent: 'nobody' }],
      ['beyond the parent', { authorization_details: [tooMuch] }],
    ] as const) {
      const reply = await openTicket(parent, changes)
      expect([reply.status, (JSON.parse(reply.text) as { code: string }).code], what).toEqual([
        403,
        'ask_denied',
      ])
    }
    const ticket = ticketOf(await openTicket(parent))
    const before = await it.state()
    for (const details of [[write], [asks.apiRead], [asks.orders, write]]) {
      const reply = await child(ticket, { authorization_details: details })
      expect(reply.status).toBe(403)
      expect(JSON.parse(reply.text)).toMatchObject({ code: 'ask_denied' })
      const exchanged = await it.send(
        exchangeRequest(it.installation.svid('/agent/reviewer'), {
          ticket,
          authorization_details: JSON.stringify(details),
        }),
      )
      expect(exchanged.status).toBe(400)
      expect(JSON.parse(exchanged.text)).toMatchObject({ error: 'invalid_scope' })
    }
    await it.expectUnharmed(before)
    const opened = await child(ticket)
    expect(opened.status).toBe(201)
    const { task, task_token } = JSON.parse(opened.text) as { task: { id: string }; task_token: string }
    const deeper = await openTicket({ id: task.id, token: task_token })
    expect([deeper.status, (JSON.parse(deeper.text) as { code: string }).code]).toEqual([403, 'ask_denied'])
  })
})
