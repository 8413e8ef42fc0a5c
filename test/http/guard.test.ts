import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { type Env, identifySource } from '../../src/http/guard.ts'

async function sourceOf(forwarded: string | undefined, hops = 1): Promise<string> {
  const app = new Hono<Env>()
  app.get('/', identifySource(hops), c => c.text(c.get('source')))
  const incoming = {
    socket: { remoteAddress: '192.0.2.9' },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }
  const answer = await app.request('/', {}, { incoming } as unknown as HttpBindings) // all that it looks at
  return answer.text()
}

test.each([
  ['192.0.2.1', '192.0.2.1'],
  [' 192.0.2.1 ', '192.0.2.1'],
  ['192.0.2.7, 192.0.2.1', '192.0.2.1'],
  // Each port was a source of its own, with a minute's share of its own.
  ['192.0.2.1:1000', '192.0.2.1'],
  ['192.0.2.1:1001', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['[::ffff:192.0.2.1]:443', '192.0.2.1'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:DB8::1', '2001:db8:0:0::/64'],
  ['[2001:db8::1]', '2001:db8:0:0::/64'],
  ['[2001:db8::1]:443', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:ffff::2', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('X-Forwarded-For %j is %s', async (forwarded, source) => {
  expect(await sourceOf(forwarded)).toBe(source)
})

test.each([
  undefined,
  '',
  'unknown',
  '_hidden',
  'a.b.c.d',
  '192.0.2.1:',
  '192.0.2.1:99999x',
  '[192.0.2.1',
  '1.2.3',
])('X-Forwarded-For %j is no address: the peer is the source', async forwarded => {
  expect(await sourceOf(forwarded)).toBe('192.0.2.9')
})

test('what is said beyond the trusted hops is not looked at', async () => {
  expect(await sourceOf('192.0.2.1', 0)).toBe('192.0.2.9')
  expect(await sourceOf('192.0.2.1', 2)).toBe('192.0.2.9')
})
