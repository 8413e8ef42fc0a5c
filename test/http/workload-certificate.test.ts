/** The broker's own certificate from the Workload API, and its trust bundle: through the real port, while both rotate. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Agent, type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Edge } from '../../src/open-core.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import {
  createSpiffeX509Authority,
  type SpiffeX509Authority,
  type Svid,
} from '../fakes/identity/spiffe-x509-authority.ts'
import {
  plainJwks,
  startWorkloadApiServer,
  type WorkloadApiServer,
  type X509Svid,
} from '../fakes/identity/workload-api-server.ts'
import { asks, createInstallation, edgeFor, type Installation, silent } from '../fakes/installation.ts'

const STRANGE_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  ...({ format: 'der', type: 'pkcs8' } as const),
})
const BROKER = 'spiffe://acme.test/mayfly'
let installation: Installation
let agent: WorkloadApiServer
let authority: SpiffeX509Authority
let broker: RunningServer | undefined
const warnings: string[] = []

beforeAll(async () => {
  installation = await createInstallation()
  agent = await startWorkloadApiServer()
  authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now: installation.clock.now })
  agent.refuse(status.PERMISSION_DENIED)
  giveBundle()
  const workload_api = { socket: agent.socket }
  await installation.configure({
    settings: {
      listen: { host: '127.0.0.1', port: 0, tls: { workload_api: { ...workload_api, spiffe_id: BROKER } } },
      operator_listen: { host: '127.0.0.1', port: 0 },
      attestors: {
        actions: { type: 'github-actions', issuer: installation.identityProvider.issuer, audience: 'mayfly' },
        spire: {
          ...{ type: 'spiffe-jwt', trust_domain: 'acme.test', audience: 'https://mayfly.test' },
          bundle: { workload_api },
        },
      },
    },
  })
  const edge = edgeFor(installation, { ...silent, warn: (_fields, text) => void warnings.push(String(text)) })
  // Backoff is not waited for at full length.
  const schedule: Edge['schedule'] = (ms, run) => edge.schedule(ms / 20, run)
  broker = await startServer(installation.configPath, { ...edge, schedule })
})
afterAll(async () => {
  await broker?.stop()
  await agent.close()
  await installation.close()
})

const giveBundle = () =>
  agent.give({ jwtBundles: { 'spiffe://acme.test': plainJwks(installation.spiffe.bundle()) } })

function svidOf(svid: Svid, other: Partial<X509Svid> = {}): X509Svid {
  const key = createPrivateKey(svid.key).export({ format: 'der', type: 'pkcs8' })
  const own = { spiffe_id: BROKER, x509_svid: Buffer.concat(svid.chain), x509_svid_key: key }
  return { ...own, bundle: authority.root.der, ...other }
}

async function renew(): Promise<Svid> {
  const svid = await authority.issue('/mayfly')
  agent.give({
    x509Svids: [
      svidOf(await authority.issue('/else'), { spiffe_id: BROKER.replace('mayfly', 'else') }),
      svidOf(svid),
    ],
  })
  return svid
}

type Seen = { status: number; body: string; certificate: Buffer; port: number | undefined }

function call(path: string, how: RequestOptions & { body?: object } = {}): Promise<Seen> {
  const { body, ...options } = how
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const method = body === undefined ? 'GET' : 'POST'
    // The bundle is what clients of a trust domain go by, not host names.
    const trust = { rejectUnauthorized: false, agent: false as const, method, headers, ...options }
    const sent = request(new URL(path, broker!.url), trust, async answer => {
      const socket = answer.socket as TLSSocket
      const { raw } = socket.getPeerCertificate()
      const text = Buffer.concat(await answer.toArray()).toString()
      resolve({ status: answer.statusCode ?? 0, body: text, certificate: raw, port: socket.localPort })
    })
    sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const soon = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 5_000, interval: 5 })
const isServed = (svid: Svid) =>
  soon(async () => expect((await call('/livez')).certificate.equals(svid.leaf.der)).toBe(true))
const open = () =>
  call('/v1/tasks', {
    body: {
      evidence: { type: 'jwt', token: installation.svid('/agent/coder') },
      ...{ purpose: 'writes', authorization_details: [asks.orders] },
    },
  })

test('without a certificate nobody is served, and the operators’ listener says why', async () => {
  await expect(call('/livez')).rejects.toThrow()
  const ready = await fetch(new URL('/readyz', broker!.operatorUrl))
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('Workload API')])
})

test('the one that comes is in force, of those that there are the one that was asked for', async () => {
  agent.refuse(undefined)
  const svid = await renew()
  await isServed(svid)
  expect((await fetch(new URL('/readyz', broker!.operatorUrl))).status).toBe(200)
})

test('a workload opens a task there, by a bundle of the same agent', async () => {
  const { status: code, body } = await open()
  expect([code, JSON.parse(body).task?.agent]).toEqual([201, 'coder'])
})

test('a new one is for new connections; those that are open go on', async () => {
  const [kept, before] = [new Agent({ keepAlive: true, maxSockets: 1 }), await renew()]
  await isServed(before)
  const first = await call('/livez', { agent: kept })
  const after = await renew()
  await isServed(after)
  const second = await call('/livez', { agent: kept })
  expect([second.status, second.port]).toEqual([200, first.port])
  kept.destroy()
})

test('certificate and bundle are replaced 20 times under load: every call is answered, every task opened', async () => {
  const codes: number[] = []
  for (let round = 0; round < 20; round += 1) {
    const load = Array.from({ length: 5 }, async () =>
      codes.push((await open()).status, (await call('/livez')).status),
    )
    const svid = await renew()
    giveBundle()
    await Promise.all(load)
    await isServed(svid)
  }
  expect(codes).toHaveLength(200)
  expect(new Set(codes)).toEqual(new Set([200, 201]))
})

test.each([
  ['a key of another', () => ({ x509_svid_key: STRANGE_KEY })],
  ['a key that is none', () => ({ x509_svid_key: STRANGE_KEY.subarray(0, 20) })],
  ['a certificate of another', () => ({ x509_svid: authority.root.der })],
  ['no certificate', () => ({ x509_svid: new Uint8Array() })],
  ['no certificate of that name', () => ({ spiffe_id: 'spiffe://acme.test/other' })],
])('%s is not taken, and the last good one is served', async (_what, broken) => {
  const good = await renew()
  await isServed(good)
  warnings.length = 0
  const next = await authority.issue('/mayfly')
  agent.give({ x509Svids: [svidOf(next, broken())] })
  await soon(async () => expect(warnings).toEqual(['no newer certificate of our own']))
  await isServed(good)
  await isServed(await renew())
})

test('where the agent knows the broker no more, nobody is attested by it, and the last certificate is served', async () => {
  const svid = await renew()
  await isServed(svid)
  agent.refuse(status.PERMISSION_DENIED)
  agent.breakStreams(status.PERMISSION_DENIED)
  await soon(async () => expect((await open()).status).toBe(503))
  await isServed(svid)
  agent.refuse(undefined)
  await soon(async () => expect((await open()).status).toBe(201))
})

test('where the agent is gone for a while, nobody notices', async () => {
  await agent.stop()
  expect((await open()).status).toBe(201)
  await agent.start()
  await isServed(await renew())
})

test('its key is nowhere on the disk', async () => {
  const svid = await renew()
  await isServed(svid)
  const secret = svidOf(svid).x509_svid_key
  const names = await readdir(installation.directory, { recursive: true, withFileTypes: true })
  for (const file of names.filter(one => one.isFile())) {
    const content = await readFile(join(file.parentPath, file.name))
    expect(content.includes(Buffer.from(secret).subarray(-32)), file.name).toBe(false)
    expect(content.includes(Buffer.from(secret).toString('base64').slice(8, 60)), file.name).toBe(false)
  }
})

test('one that has expired is told of', async () => {
  const before = await fetch(new URL('/readyz', broker!.operatorUrl))
  expect(before.status).toBe(200)
  installation.clock.advance(3_700_000)
  const ready = await fetch(new URL('/readyz', broker!.operatorUrl))
  expect(await ready.text()).toContain('expired')
})

test('streams are over when the broker has stopped', async () => {
  await soon(async () => expect(agent.streams()).toBe(2))
  await broker?.stop()
  broker = undefined
  await soon(async () => expect(agent.streams()).toBe(0))
})
