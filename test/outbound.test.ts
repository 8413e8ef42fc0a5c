import { readFileSync } from 'node:fs'
import { createServer as createTlsServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createAdaptorServer } from '@hono/node-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createOutbound, type Outbound, type OutboundSettings } from '../src/outbound.ts'
import { type Address, kindOf } from '../src/outbound-connector.ts'
import { OutboundError } from '../src/outbound-error.ts'
import {
  flood,
  gzipBomb,
  hang,
  type KeyServer,
  redirect,
  startKeyServer,
  status,
  trickle,
} from './fakes/identity/key-server.ts'

const opened: Outbound[] = []
let server: KeyServer
beforeEach(async () => {
  server = await startKeyServer({ keys: [] })
})
afterEach(async () => {
  for (const outbound of opened.splice(0)) await outbound.close()
  await server.close()
})

function create(settings: OutboundSettings = { allowLoopback: true }): Outbound {
  const outbound = createOutbound({ deadlineMs: 400, ...settings })
  opened.push(outbound)
  return outbound
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => new Error('it was answered'),
    (error: unknown) => error,
  )
  return error instanceof OutboundError ? error.code : String(error)
}

describe('answers', () => {
  test('a body within the cap, decoded', async () => {
    server.answer('/zip', response => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}'))
    })
    const response = await create().get(`${server.issuer}/zip`)
    expect(response).toBeInstanceOf(Response)
    expect(await response.json()).toEqual({ a: 1 })
    expect(response.headers.has('content-encoding')).toBe(false)
    expect(response.url).toBe(`${server.issuer}/zip`)
  })

  test.each([204, 304, 404, 500])('status %i is an answer, not an error', async code => {
    server.answer('/x', status(code))
    expect((await create().get(`${server.issuer}/x`)).status).toBe(code)
  })

  test('fetch sends method, headers and body', async () => {
    let seen = ''
    server.answer('/post', async (response, request) => {
      const chunks = await request.toArray()
      seen = `${request.method} ${request.headers['x-test']} ${Buffer.concat(chunks)}`
      response.end('ok')
    })
    const { fetch } = create()
    const init = { method: 'POST', headers: { 'x-test': 'yes' }, body: 'a=1' }
    expect(await (await fetch(`${server.issuer}/post`, init)).text()).toBe('ok')
    expect(seen).toBe('POST yes a=1')
    await fetch(new Request(`${server.issuer}/post`, init))
    expect(seen).toBe('POST yes a=1')
  })

  test('have all that a Response has, whatever an HTTP server put in its place', async () => {
    createAdaptorServer({ fetch: () => new Response('from a server') })
    server.answer('/x', response => response.end('ok'))
    const answer = await create().get(`${server.issuer}/x`)
    expect(answer).toBeInstanceOf(Response)
    expect([...(await answer.bytes())]).toEqual([...Buffer.from('ok')])
  })

  test('a body of the cap exactly, and one byte more', async () => {
    const body = (bytes: number) => server.answer('/x', response => response.end(Buffer.alloc(bytes)))
    const outbound = create({ allowLoopback: true, maxBodyBytes: 1000 })
    body(1000)
    expect((await (await outbound.get(`${server.issuer}/x`)).bytes()).length).toBe(1000)
    body(1001)
    expect(await codeOf(outbound.get(`${server.issuer}/x`))).toBe('too_large')
    expect((await outbound.get(`${server.issuer}/x`, { maxBodyBytes: 2000 })).status).toBe(200)
  })
})

describe('bounds', () => {
  test.each([
    ['80 MB', flood(80 * 1024 * 1024), 'too_large'],
    ['a body without end', flood(), 'too_large'],
    ['a gzip bomb', gzipBomb(200 * 1024 * 1024), 'too_large'],
    ['a byte at a time', trickle, 'deadline_passed'],
    ['silence', hang, 'deadline_passed'],
    ['a redirect', redirect('/other'), 'redirect_refused'],
    ['a redirect to the metadata service', redirect('http://169.254.169.254/'), 'redirect_refused'],
  ])('%s', async (_what, answer, code) => {
    server.answer('/x', answer)
    expect(await codeOf(create().get(`${server.issuer}/x`))).toBe(code)
    expect(server.requests).toEqual(['/x'])
  })

  test('a call that was cut leaves no connection', async () => {
    server.answer('/x', trickle)
    await codeOf(create().get(`${server.issuer}/x`))
    await expect.poll(() => server.openConnections()).toBe(0)
  })

  test('headers without end', async () => {
    server.answer('/x', response => {
      for (let n = 0; n < 20; n += 1) response.setHeader(`x-${n}`, 'y'.repeat(4000))
      response.end()
    })
    expect(await codeOf(create().get(`${server.issuer}/x`))).toBe('connection_failed')
  })

  test('a port where nobody listens, and a caller who gives up', async () => {
    const { issuer } = server
    await server.close()
    expect(await codeOf(create().get(issuer))).toBe('connection_failed')
    server = await startKeyServer({})
    server.answer('*', hang)
    const controller = new AbortController()
    const attempt = create().fetch(server.issuer, { signal: controller.signal })
    await expect.poll(() => server.requests.length).toBe(1)
    controller.abort()
    expect(await codeOf(attempt)).toBe('aborted')
  })

  test('no message holds a path, a query or a header', async () => {
    const secret = 'canary-4711'
    server.answer('*', redirect(`/${secret}`))
    const attempts = [
      [`${server.issuer}/${secret}?t=${secret}`, secret],
      [`${server.issuer}/`, `line\n${secret}`],
      [`http://${secret}:x@127.0.0.1/`, ''],
      [`http://127.0.0.1:1/${secret}`, ''],
      [`not a url ${secret}`, ''],
    ] as const
    for (const [url, authorization] of attempts) {
      const error = await create()
        .get(url, { headers: { authorization } })
        .catch((error: unknown) => error)
      expect(error).toBeInstanceOf(OutboundError)
      expect(`${error} ${(error as OutboundError).stack} ${(error as OutboundError).cause}`).not.toContain(
        secret,
      )
    }
  })
})

describe('where it may go', () => {
  test.each([
    'http://issuer.test/',
    'http://10.0.0.1/',
    'http://127.0.0.1.nip.test/',
    'ftp://issuer.test/',
    'file:///etc/passwd',
    'data:text/plain,x',
    'https://user:password@issuer.test/',
  ])('%s is no URL for it', async url => {
    const outbound = create({ allowLoopback: true, allowPrivateNetworks: true })
    expect(['url_not_allowed', 'request_invalid']).toContain(await codeOf(outbound.get(url)))
  })

  test('plain http to loopback only where it was allowed', async () => {
    expect(await codeOf(create({}).get(server.issuer))).toBe('url_not_allowed')
    expect((await create().get(`${server.issuer}/keys`)).status).toBe(200)
  })

  test.each([
    'https://127.0.0.1/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://0.0.0.0/',
    'https://[::]/',
    'https://10.1.2.3/',
    'https://[fd12:3456::1]/',
    'https://169.254.169.254/',
    'https://[fe80::1]/',
    'https://[2002:7f00:1::]/',
    'https://[::ffff:a9fe:a9fe]/',
  ])('%s is not reached', async url => {
    expect(await codeOf(create({}).get(url))).toBe('address_not_allowed')
  })

  test.each([
    [['10.0.0.7']],
    [['169.254.169.254']],
    [['127.0.0.1']],
    [['::ffff:169.254.169.254']],
    [['93.184.215.14', '10.0.0.7']],
    [[]],
  ])('a name that resolves to %j is not reached', async addresses => {
    const outbound = create({ lookup: async () => addresses.map(toAddress) })
    expect(await codeOf(outbound.get('https://issuer.test/'))).toBe('address_not_allowed')
  })

  test('the metadata service stays shut, whatever is allowed', async () => {
    const all = { allowLoopback: true, allowPrivateNetworks: true }
    for (const address of [
      '169.254.169.254',
      'fd00:ec2::254',
      '100.100.100.200',
      'fe80::1',
      '::ffff:169.254.169.254',
    ]) {
      const outbound = create({ ...all, lookup: async () => [toAddress(address)] })
      expect(await codeOf(outbound.get('https://metadata.test/'))).toBe('address_not_allowed')
    }
  })

  test('plain http to `localhost` follows no resolver out of the house', async () => {
    const outbound = create({ allowLoopback: true, lookup: async () => [toAddress('93.184.215.14')] })
    expect(await codeOf(outbound.get('http://localhost/'))).toBe('address_not_allowed')
  })

  test('a name that fails to resolve is a failed connection', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }))
    expect(await codeOf(create({ lookup }).get('https://issuer.test/'))).toBe('connection_failed')
  })

  test.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['64:ff9b::808:808', 'public'],
    ['172.16.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fc00::1', 'private'],
    ['127.255.255.255', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['0.1.2.3', 'never'],
    ['224.0.0.1', 'never'],
    ['255.255.255.255', 'never'],
    ['198.18.0.1', 'never'],
    ['ff02::1', 'never'],
    ['fe80::1%eth0', 'never'],
    ['::127.0.0.1', 'never'],
    ['2001:db8::1', 'never'],
    ['2001::1', 'never'],
    ['2002:a00:1::', 'never'],
    ['64:ff9b:1::a00:1', 'never'],
    ['100::1', 'never'],
  ])('%s is %s', (address, kind) => {
    expect(kindOf(toAddress(address))).toBe(kind)
  })
})

describe('TLS', () => {
  let secure: Server
  const pem = (name: string) => readFileSync(new URL(`./fakes/identity/tls/${name}`, import.meta.url), 'utf8')
  beforeEach(async () => {
    secure = createTlsServer({ key: pem('key.pem'), cert: pem('cert.pem') }, (_request, response) =>
      response.end('ok'),
    )
    await new Promise<void>(resolve => secure.listen(0, '127.0.0.1', resolve))
  })
  afterEach(() => new Promise(resolve => secure.close(resolve)))
  const port = () => (secure.address() as AddressInfo).port

  test('the name of the URL is checked, at the address that was judged', async () => {
    const asked: string[] = []
    const lookup = async (hostname: string) => {
      asked.push(hostname)
      return [toAddress('127.0.0.1')]
    }
    const outbound = create({ allowLoopback: true, ca: pem('cert.pem'), lookup })
    const response = await outbound.get(`https://issuer.test:${port()}/`)
    expect(await response.text()).toBe('ok')
    expect(asked).toEqual(['issuer.test'])
    expect(await codeOf(outbound.get(`https://other.test:${port()}/`))).toBe('connection_failed')
  })

  test('a name that resolves elsewhere the next moment is judged again', async () => {
    const answers = ['127.0.0.1', '169.254.169.254']
    const lookup = async () => [toAddress(answers.shift() ?? '')]
    const outbound = create({ allowLoopback: true, ca: pem('cert.pem'), lookup })
    expect((await outbound.get(`https://issuer.test:${port()}/`)).status).toBe(200)
    secure.closeAllConnections()
    await expect
      .poll(() => codeOf(outbound.get(`https://issuer.test:${port()}/`)))
      .toBe('address_not_allowed')
  })

  test('a certificate that nobody vouches for is refused', async () => {
    const lookup = async () => [toAddress('127.0.0.1')]
    const outbound = create({ allowLoopback: true, lookup })
    expect(await codeOf(outbound.get(`https://issuer.test:${port()}/`))).toBe('connection_failed')
  })
})

function toAddress(address: string): Address {
  return { address, family: address.includes(':') ? 6 : 4 }
}
