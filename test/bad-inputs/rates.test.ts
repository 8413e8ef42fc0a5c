/** Rates are judged before evidence is, for each source by itself. */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import type { Attestor } from '../../attestors/attestor.ts'
import { createOperatorToken } from '../../src/broker/people/create-operator-token.ts'
import { RESOURCE_SERVER } from '../fakes/installation.ts'
import { until } from '../support/until.ts'
import { attackedBroker, exchangeRequest, openRequest } from './attacked-broker.ts'
import type { Reply, Sent } from './request.ts'

const it = attackedBroker({
  listen: { host: '127.0.0.1', port: 0, behind_proxy: { hops: 1 } },
  limits: { failed_attestations_per_minute_per_source: 5, exchanges_per_minute_per_source: 20 },
})

const from = (source: string, sent: Sent): Promise<Reply> =>
  it.send({ ...sent, headers: { 'x-forwarded-for': source } })
const bad = () => it.goodToken({ aud: 'other' })
const rejections = async () => {
  const { items } = await it.running.broker.ledger.read.audit({}, { limit: 10_000 })
  return items.filter(row => row.event === 'evidence.rejected').length
}

test('after so many failures the evidence of a source is not looked at, good or bad', async () => {
  const source = '192.0.2.1'
  for (let turn = 0; turn < 5; turn++) expect((await from(source, exchangeRequest(bad()))).status).toBe(400)
  const looked = await rejections()
  const exchanged = [
    await from(source, exchangeRequest(bad())),
    await from(source, exchangeRequest(it.goodToken())),
  ]
  for (const reply of exchanged) {
    expect([reply.status, reply.text]).toEqual([429, exchanged[0]!.text])
    expect(reply.headers).toMatch(/retry-after: \d+/)
  }
  const opened = await from(source, openRequest(it.goodToken()))
  expect([opened.status, JSON.parse(opened.text)]).toMatchObject([429, { code: 'rate_limited' }])
  expect(await rejections()).toBe(looked)

  expect((await from('192.0.2.2', exchangeRequest(it.goodToken()))).status).toBe(200)
  expect((await from(`${source}, 192.0.2.3`, exchangeRequest(it.goodToken()))).status).toBe(200)
  it.installation.clock.advance(60_000)
  expect((await from(source, exchangeRequest(it.goodToken()))).status).toBe(200)
})

// Anybody with a repository could fill the ledger, 7 KB at a time, with one token.
test('evidence of nobody counts as a failure, and is written down once', async () => {
  const token = it.goodToken({ sub: 'stranger', team: 'x'.repeat(2_000), level: 1 })
  const decisions = async () => {
    const { items } = await it.running.broker.ledger.read.audit({}, { limit: 10_000 })
    return items.filter(row => row.event === 'decision.denied').map(row => JSON.parse(row.data).decision)
  }
  const before = (await decisions()).length
  const source = '192.0.2.20'
  const first = await from(source, openRequest(token))
  expect(JSON.parse(first.text)).toMatchObject({ code: 'agent_unmatched', decision: expect.any(String) })
  for (let turn = 0; turn < 4; turn++) expect((await from(source, openRequest(token))).text).toBe(first.text)
  expect((await from(source, openRequest(token))).status).toBe(429)
  const after = await decisions()
  expect(after.length).toBe(before + 1)
  const row = (await it.running.broker.ledger.read.decision(JSON.parse(first.text).decision))!
  const { identity } = JSON.parse(row.facts)
  expect(identity).toMatchObject({ subject: 'stranger', claims: { level: 1 } })

  const other = it.goodToken({ sub: 'stranger', team: 'x'.repeat(2_040), level: 1 })
  const { decision } = JSON.parse((await from('192.0.2.21', openRequest(other))).text)
  const cut = JSON.parse((await it.running.broker.ledger.read.decision(decision))!.facts).identity
  expect(cut).toMatchObject({ claims: { level: 1 }, claims_left_out: 1 })
})

test('good evidence does not count as a failure', async () => {
  for (let turn = 0; turn < 20; turn++)
    expect((await from('192.0.2.9', exchangeRequest(it.goodToken()))).status).toBe(200)
})

const busy = attackedBroker({ limits: { requests_in_flight: 2 } })
const few = attackedBroker({ limits: { requests_per_minute_per_source: 10 } })

/** Work that does not end: the evidence of whoever is exchanging is not checked before `go`. */
function stallAttestation(): { go: () => void; reached: () => number } {
  const attestor = busy.running.broker.attestors.get('forged')!
  const attest = attestor.attest.bind(attestor)
  const { promise, resolve } = Promise.withResolvers<void>()
  let reached = 0
  attestor.attest = async evidence => {
    reached += 1
    await promise
    return attest(evidence)
  }
  return {
    reached: () => reached,
    go() {
      attestor.attest = attest
      resolve()
    },
  }
}

const get = (path: string) => busy.send({ method: 'GET', path })
const post = (path: string, token: string, json: object) =>
  busy.send({
    ...{ method: 'POST', path, type: 'application/json', body: JSON.stringify(json) },
    headers: { authorization: `Bearer ${token}` },
  })

test('beyond so many at once callers come back later; ends, silence and liveness are not held up', async () => {
  const task = await busy.exchange(busy.goodToken())
  const { task_id: id, task_token: token } = JSON.parse(task.text)
  const { go, reached } = stallAttestation()
  const working = [busy.exchange(busy.goodToken()), busy.exchange(busy.goodToken())]
  await until(() => reached() === 2)
  const reply = await get('/openapi.json')
  expect([reply.status, JSON.parse(reply.text)]).toMatchObject([429, { code: 'rate_limited' }])
  expect(reply.headers).toContain('retry-after: 1')

  expect((await get('/livez')).status).toBe(200)
  const operator = await createOperatorToken(busy.running.broker, 'tests')
  const revoked = await post('/v1/revocations', operator.token.reveal(), {
    task: 'tsk_none',
    reason: 'a test',
  })
  expect(revoked.status).not.toBe(429)
  const ended = { type: 'application/x-www-form-urlencoded', body: 'token=none' }
  expect((await busy.send({ method: 'POST', path: '/oauth/revoke', ...ended })).status).toBe(200)
  expect((await post(`/v1/tasks/${id}/heartbeat`, token, {})).status).toBe(200)
  expect((await post(`/v1/tasks/${id}/complete`, token, { outcome: 'completed' })).status).toBe(200)
  go()
  expect((await Promise.all(working)).map(one => one.status)).toEqual([200, 200])
  expect((await get('/openapi.json')).status).toBe(200)
})

// Each waits for keys that somebody else serves, and is a heartbeat, which has a place among what ends things.
test('statements that cannot be checked at once hold up no end', async () => {
  const opened = await busy.exchange(busy.goodToken())
  const { task_id: id, task_token: token } = JSON.parse(opened.text)
  const { promise: keys, resolve: serve } = Promise.withResolvers<void>()
  let waiting = 0
  const slow: Attestor = {
    posture: true,
    recognises: () => true,
    async attest() {
      waiting += 1
      await keys
      return { ok: false, rejection: 'expired', detail: 'long ago' }
    },
  }
  const attestors = busy.running.broker.attestors as Map<string, Attestor>
  attestors.set('slow', slow)
  const { endsInFlight } = busy.running.broker.limits
  const beat = () => post(`/v1/tasks/${id}/heartbeat`, token, { posture: [{ type: 'jwt', token: 'a.b.c' }] })
  const beats = Array.from({ length: endsInFlight }, beat)
  await until(() => waiting === endsInFlight)
  expect((await beat()).status).toBe(429)
  expect((await post(`/v1/tasks/${id}/heartbeat`, token, {})).status).toBe(200)
  expect((await post(`/v1/tasks/${id}/complete`, token, { outcome: 'completed' })).status).toBe(200)
  serve()
  expect(new Set((await Promise.all(beats)).map(({ status }) => status))).toEqual(new Set([401]))
  attestors.delete('slow')
})

// Two of them had held every place, and a workload could not even end its task.
test('bodies that arrive a byte at a time hold nothing up', async () => {
  const { port } = new URL(busy.running.url)
  const slow = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nx=`
  const sockets = Array.from({ length: 80 }, (_, index) => {
    const socket = connect(Number(port), '127.0.0.1')
    return socket
      .on('error', () => {})
      .setNoDelay()
      .on('connect', () => socket.write(slow(index < 70 ? '/oauth/revoke' : '/oauth/token')))
  })
  await until(() => sockets.every(socket => socket.bytesWritten > 0))
  for (const socket of sockets) socket.write('=')
  expect((await busy.exchange(busy.goodToken())).status).toBe(200)
  const ended = { type: 'application/x-www-form-urlencoded', body: 'token=none' }
  expect((await busy.send({ method: 'POST', path: '/oauth/revoke', ...ended })).status).toBe(200)
  for (const socket of sockets) socket.destroy()
})

test('a resource server asks as often as it needs to, whatever else its address asks; a stranger does not', async () => {
  const introspect = (secret: string) =>
    few.send({
      ...{ method: 'POST', path: '/oauth/introspect', type: 'application/x-www-form-urlencoded' },
      body: 'token=none',
      headers: {
        authorization: `Basic ${Buffer.from(`${RESOURCE_SERVER.id}:${secret}`).toString('base64')}`,
      },
    })
  const strangers = await Promise.all(Array.from({ length: 20 }, () => introspect('wrong')))
  expect(new Set(strangers.map(one => one.status))).toEqual(new Set([401, 429]))
  for (let turn = 0; turn < 20; turn++) expect((await introspect(RESOURCE_SERVER.secret)).status).toBe(200)
})
