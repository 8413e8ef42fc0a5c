import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createOperatorToken } from '../src/broker/people/create-operator-token.ts'
import type { RunningServer } from '../src/server.ts'
import type { FaultDecision } from './fakes/faults.ts'
import {
  asks,
  createInstallation,
  type Installation,
  RESOURCE_SERVER,
  startBroker,
} from './fakes/installation.ts'
import { createApi } from './support/api.ts'

let installation: Installation
let broker: RunningServer | undefined

beforeEach(async () => {
  installation = await createInstallation()
})
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  await installation.close()
})

const startWith = async (settings: Record<string, unknown>) => {
  await installation.configure({ settings })
  broker = await startBroker(installation)
  return broker
}

describe('listeners', () => {
  test('a non-loopback address without TLS or behind_proxy is refused, and nothing is left running', async () => {
    const start = startWith({ listen: { host: '0.0.0.0', port: 0 } })
    await expect(start).rejects.toThrow(/mayfly\.yaml:\d+.*listen\.host/s)
  })

  test('a port that is taken is said so, and the ledger is free again', async () => {
    const first = await startWith({})
    const port = Number(new URL(first.url).port)
    const ledger = { type: 'sqlite', path: 'data/other.db' }
    await installation.configure({
      settings: { listen: { host: '127.0.0.1', port }, ledger, kek_file: 'data/other-kek' },
    })
    await expect(startBroker(installation)).rejects.toThrow(
      `127.0.0.1:${port}: another process listens there already (EADDRINUSE). Change listen.host or listen.port`,
    )
    await installation.configure({ settings: { ledger, kek_file: 'data/other-kek' } })
    const second = await startBroker(installation)
    await second.stop()
  })

  test('operators have a listener of their own where one is configured', async () => {
    const { url, operatorUrl } = await startWith({ operator_listen: { host: '127.0.0.1', port: 0 } })
    expect(url).not.toBe(operatorUrl)
    expect((await fetch(`${operatorUrl}/v1/leases`)).status).toBe(401)
    expect((await fetch(`${url}/v1/leases`)).status).toBe(404)
    expect((await fetch(`${operatorUrl}/oauth/token`, { method: 'POST' })).status).toBe(404)
  })

  test('TLS, and a new certificate in force after a reload', async () => {
    await certificate('first.test')
    const listen = {
      host: '127.0.0.1',
      port: 0,
      tls: { cert_file: 'cert.pem', key_file: 'key.pem' },
    }
    const server = await startWith({ listen })
    expect(await peer(server.url)).toMatchObject({ name: 'first.test', protocol: 'TLSv1.3' })
    await certificate('second.test')
    await server.reload()
    expect(await peer(server.url)).toMatchObject({ name: 'second.test' })

    // The certificate was in force although the agents beside it were refused.
    await certificate('third.test')
    await installation.configure({ settings: { listen }, agents: { broken: { nonsense: true } } })
    await expect(server.reload()).rejects.toThrow(/broken\.yaml/)
    expect(await peer(server.url)).toMatchObject({ name: 'second.test' })
    await rm(join(installation.directory, 'agents/broken.yaml'))
    await writeFile(join(installation.directory, 'cert.pem'), 'none')
    const agents = server.broker.agents()
    await expect(server.reload()).rejects.toThrow()
    expect([server.broker.agents(), (await peer(server.url)).name]).toEqual([agents, 'second.test'])
  })

  async function certificate(name: string): Promise<void> {
    const [cert, key] = [join(installation.directory, 'cert.pem'), join(installation.directory, 'key.pem')]
    const args = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '1',
    ]
    execFileSync('openssl', [...args, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    })
  }

  function peer(url: string): Promise<{ name: string; protocol: string | null }> {
    return new Promise((resolve, reject) => {
      const ask = request(`${url}/livez`, { rejectUnauthorized: false, agent: false }, response => {
        const socket = response.socket as TLSSocket
        resolve({ name: socket.getPeerCertificate().subject.CN as string, protocol: socket.getProtocol() })
        response.resume()
      })
      ask.on('error', reject)
      ask.end()
    })
  }
})

// Tasks, credentials and tickets were answered without it.
test('no answer may be kept, but for published keys and metadata', async () => {
  const server = await startWith({})
  const api = createApi(server, installation)
  const evidence = { type: 'jwt', token: installation.svid('spiffe://acme.test/agent/coder') }
  const task = await api.open([asks.orders], { evidence })
  const under = `/v1/tasks/${task.id}`
  const ticket = { agent: 'reviewer', minutes: 5, authorization_details: [asks.orders] }
  const { token } = await createOperatorToken(server.broker, 'tests')
  const answers = [
    task.answer,
    await api.credential(task),
    await api.call('POST', `${under}/tickets`, task.token, ticket),
    await api.show(task),
    await api.complete(task),
    await api.call('GET', '/v1/leases', token.reveal()),
    await api.call('POST', '/v1/operator-tokens', token.reveal(), {}),
    await api.call('GET', '/livez'),
  ]
  for (const { status, headers } of answers)
    expect([status < 300, headers.get('cache-control')]).toEqual([true, 'no-store'])
  const keys = await api.call('GET', '/.well-known/jwks.json')
  expect(keys.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/)
})

describe('sources', () => {
  const limits = { requests_per_minute_per_source: 3 }
  const statuses = async (url: string, forwarded: string[]) => {
    const seen: number[] = []
    for (const header of forwarded)
      seen.push((await fetch(`${url}/openapi.json`, { headers: { 'x-forwarded-for': header } })).status)
    return seen
  }

  test('are told apart by what a trusted proxy says, and by nothing a client says', async () => {
    const { url } = await startWith({
      limits,
      listen: { host: '127.0.0.1', port: 0, behind_proxy: { hops: 1 } },
    })
    const own = ['203.0.113.1', '203.0.113.1', '203.0.113.1', '203.0.113.1', '203.0.113.2']
    expect(await statuses(url, own)).toEqual([200, 200, 200, 429, 200])
    expect(
      await statuses(url, ['9.9.9.9, 203.0.113.3', '8.8.8.8, 203.0.113.3', '7.7.7.7, 203.0.113.3']),
    ).toEqual([200, 200, 200])
    expect(await statuses(url, ['6.6.6.6, 203.0.113.3'])).toEqual([429])
  })

  test('without a proxy X-Forwarded-For means nothing', async () => {
    const { url } = await startWith({ limits })
    expect(await statuses(url, ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4'])).toEqual([200, 200, 200, 429])
  })
})

describe('trust', () => {
  test('the broker does not take its own tokens as evidence', async () => {
    const own = 'http://127.0.0.1:8480'
    const attestors = {
      loop: { type: 'oidc', issuer: own, audience: 'https://mayfly.test', algorithms: ['ES256'] },
    }
    await expect(startWith({ attestors, public_url: own })).rejects.toThrow(
      /attestors\.loop.*own public_url/s,
    )
  })

  test('writing to the ledger makes no credential, and widens none', async () => {
    const server = await startWith({})
    const api = createApi(server, installation)
    const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
    const introspect = async (token: string) =>
      (await api.form('/oauth/introspect', { token }, { authorization: `Basic ${basic}` })).body
    const task = await api.open([asks.orders])
    const { credential, lease } = (await api.credential(task)).body
    expect(await introspect(credential)).toMatchObject({ active: true, scope: 'orders.read', jti: lease })
    const { DatabaseSync } = await import('node:sqlite')
    const file = new DatabaseSync(join(installation.directory, 'data', 'mayfly.db'))
    const wide = JSON.stringify({ audience: 'https://orders.example.com', scopes: ['admin'] })
    file.prepare('update leases set granted = ? where id = ?').run(wide, lease)
    expect(await introspect(credential)).toMatchObject({ active: true, scope: 'orders.read' })
    const forged = createHash('sha256').update('made-up').digest('hex')
    file.prepare('update leases set secret_sha256 = ? where id = ?').run(forged, lease)
    file.close()
    expect(await introspect('made-up')).toEqual({ active: false })
    expect(await introspect(credential)).toEqual({ active: false })
  })

  test('a list refuses a cursor that is not its own, and its figures are bounded', async () => {
    const server = await startWith({})
    const { token } = await createOperatorToken(server.broker, 'on call')
    const api = createApi(server, installation)
    const ask = (query: string) => api.call('GET', `/v1/leases?${query}`, token.reveal())
    expect((await ask('after=bm90IGEgY3Vyc29y')).status).toBe(400)
    expect((await ask('limit=101')).status).toBe(400)
    expect((await ask('limit=1&limit=2')).status).toBe(400)
    expect((await ask('colour=red')).status).toBe(400)
    expect(await ask('limit=1')).toMatchObject({ status: 200, body: { items: [], next: null } })
  })
})

describe('life', () => {
  test('ready while it serves; a request in flight at the stop is finished', async () => {
    const server = await startWith({})
    expect(await (await fetch(`${server.url}/readyz`)).json()).toEqual({ status: 'ready' })
    expect((await fetch(`${server.url}/livez`)).status).toBe(200)
    const api = createApi(server, installation)
    const task = await api.open([asks.api])
    const atGithub = Promise.withResolvers<void>()
    const letGo = Promise.withResolvers<void>()
    installation.github.faults = async (call): Promise<FaultDecision> => {
      if (call.operation !== 'apps/create-installation-access-token' || call.when === 'after') return 'ok'
      atGithub.resolve()
      await letGo.promise
      return 'ok'
    }
    const minting = api.credential(task)
    await atGithub.promise
    const stopped = server.stop()
    letGo.resolve()
    const minted = await minting
    expect(minted.status).toBe(201)
    expect(minted.headers.get('connection')).toBe('close')
    await stopped
    broker = undefined
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow()
  })

  test('an idle connection does not hold the stop up', async () => {
    const server = await startWith({})
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    const closed = new Promise(resolve => socket.once('close', resolve))
    await new Promise(resolve => socket.once('connect', resolve))
    socket.on('error', () => {})
    await server.stop()
    broker = undefined
    await closed
  })

  test('another KEK than the ledger was sealed with is refused', async () => {
    const server = await startWith({})
    await server.stop()
    broker = undefined
    await writeFile(join(installation.directory, 'data', 'kek'), `${'ab'.repeat(32)}\n`, { mode: 0o600 })
    await expect(startBroker(installation)).rejects.toThrow(/does not open this ledger/)
  })

  test('a row that grants authority and was changed behind its back grants nothing', async () => {
    const server = await startWith({})
    const api = createApi(server, installation)
    const task = await api.open([])
    const { DatabaseSync } = await import('node:sqlite')
    const file = new DatabaseSync(join(installation.directory, 'data', 'mayfly.db'))
    file.prepare('update tasks set deadline = deadline + 1').run()
    file.close()
    expect((await api.show(task)).status).toBe(500)
  })
})
