/** Rates are judged before evidence is, for each source by itself. */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
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

test('good evidence does not count as a failure', async () => {
  for (let turn = 0; turn < 20; turn++)
    expect((await from('192.0.2.9', exchangeRequest(it.goodToken()))).status).toBe(200)
})

const busy = attackedBroker({ limits: { requests_in_flight: 2 } })

test('beyond so many requests at once callers are told to come back, and liveness still answers', async () => {
  const get = (path: string) => busy.send({ method: 'GET', path })
  const { port } = new URL(busy.running.url)
  const slow = 'POST /oauth/token HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n'
  const form = 'Content-Type: application/x-www-form-urlencoded\r\n\r\nx='
  const sockets = [1, 2].map(() => connect(Number(port), '127.0.0.1'))
  for (const socket of sockets) socket.on('error', () => {}).write(slow + form)
  let reply = await get('/openapi.json')
  while (reply.status === 200) reply = await get('/openapi.json')
  expect([reply.status, JSON.parse(reply.text)]).toMatchObject([429, { code: 'rate_limited' }])
  expect(reply.headers).toContain('retry-after: 1')
  expect((await get('/livez')).status).toBe(200)
  for (const socket of sockets) socket.destroy()
  while (reply.status !== 200) reply = await get('/openapi.json')
})
