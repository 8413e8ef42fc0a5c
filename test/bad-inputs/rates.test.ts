/** Rates are judged before evidence is, for each source by itself. */
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
