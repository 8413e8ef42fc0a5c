/** A broker without an AWS key: what it publishes is all that AWS knows it by. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMayfly, type Task } from '../src/client/index.ts'
import type { RunningServer } from '../src/server.ts'
import { runInProcess } from './cli/in-process.ts'
import { asks, createInstallation, edgeFor, type Installation, startBroker } from './fakes/installation.ts'
import { createApi } from './support/api.ts'
import { until } from './support/until.ts'

const PUBLIC = 'http://127.0.0.1:8480'
const PROVIDER = `${PUBLIC}/aws`
const policy = (Action: string[]) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action, Resource: '*' }],
})

let installation: Installation
/** Where the broker listens. */
let port: number
let server: RunningServer

beforeAll(async () => {
  installation = await createInstallation()
  const { aws } = installation
  port = await freePort()
  const trusting = (name: string, subject: string, actions: string[]) =>
    aws.addRole({
      ...{ name, trusts: [], policy: policy(actions) },
      webIdentity: { provider: PROVIDER, subject },
    }).arn
  // In place of the role that trusts the broker's key.
  trusting('deploy', 'mayfly:aws:task', ['s3:*', 'sts:*', 'ec2:DescribeRegions'])
  const broker_role = trusting('mayfly', 'mayfly:aws:broker', ['iam:*'])
  await installation.configure({
    settings: { listen: { host: '127.0.0.1', port } },
    aws: {
      credentials: { web_identity: { broker_role } },
      revocation: {
        role_policy: true,
        iam_endpoint: aws.url,
        probe: { call: 'ec2:DescribeRegions', endpoint: aws.url },
      },
    },
  })
  server = await startBroker(installation)
  aws.addOidcProvider({ url: PROVIDER, audiences: ['sts.amazonaws.com'], fetch: published })
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

/** Run once when somebody fetches what is published. */
let whilePublished: (() => Promise<void>) | undefined

/** Public addresses lead to the port that the broker listens on. */
async function published(url: string): Promise<Record<string, unknown>> {
  const run = whilePublished
  whilePublished = undefined
  await run?.()
  const response = await fetch(url.replace(PUBLIC, `http://127.0.0.1:${port}`))
  expect(response.status, url).toBe(200)
  return (await response.json()) as Record<string, unknown>
}

async function freePort(): Promise<number> {
  const holder = await hold(0)
  await holder.close()
  return holder.port
}

/** Listens there and answers nothing good. */
async function hold(at: number) {
  const holder = createServer((_request, response) => void response.writeHead(404).end())
  await new Promise<void>(done => void holder.listen(at, '127.0.0.1', done))
  return {
    port: (holder.address() as AddressInfo).port,
    close: () => new Promise<void>(done => void holder.close(() => done())),
  }
}

test('a session is opened, ended and proven dead, and no AWS key is anywhere', async () => {
  const api = createApi(server, installation)
  const task = await api.open([asks.artifacts(installation.roleArn)])
  const minted = await api.credential(task)
  expect(minted.status, JSON.stringify(minted.body)).toBe(201)
  expect(minted.body.revocability).toBe('propagating')
  const pass = async (ms: number) => {
    installation.clock.advance(ms)
    await server.look()
  }
  await pass(3_000)
  await api.complete(task)
  for (;;) {
    const { body } = await api.show(task)
    if (body.state === 'settled') {
      expect(body.credentials[0]).toMatchObject({ state: 'closed', closed_as: 'revoked' })
      break
    }
    await pass(10_000)
  }
  const tasks = installation.aws.credentials().filter(({ roleArn }) => roleArn === installation.roleArn)
  expect(tasks.map(({ alive, issuedTo }) => ({ alive, issuedTo }))).toEqual([
    { alive: false, issuedTo: PROVIDER },
  ])
})

describe('what signs in at AWS is apart from what is signed for tasks', () => {
  test('another issuer and other keys', async () => {
    const [own, tasks] = [
      await published(`${PROVIDER}/.well-known/openid-configuration`),
      await published(`${PUBLIC}/.well-known/openid-configuration`),
    ]
    expect(own.issuer).toBe(PROVIDER)
    expect(tasks.issuer).toBe(PUBLIC)
    const kids = async (url: unknown) => {
      const { keys } = (await published(String(url))) as { keys: { kid: string; d?: string }[] }
      expect(keys.every(key => key.d === undefined)).toBe(true)
      return keys.map(({ kid }) => kid)
    }
    const ownKids = await kids(own.jwks_uri)
    expect(ownKids).toHaveLength(2)
    for (const kid of await kids(tasks.jwks_uri)) expect(ownKids).not.toContain(kid)
  })

  test('no attestor takes it for evidence', async () => {
    const other = await createInstallation({
      settings: { attestors: { own: { type: 'oidc', issuer: PROVIDER, audience: 'https://mayfly.test' } } },
    })
    await expect(startBroker(other)).rejects.toThrow(/attestors\.own/)
    await other.close()
  })

  test('nor is its audience ever signed for a task', async () => {
    const audiences = [{ audience: 'sts.amazonaws.com', scopes: [] }]
    const other = await createInstallation({
      settings: { issuers: { jwt: { type: 'signed-jwt', audiences } } },
    })
    await expect(startBroker(other)).rejects.toThrow(/sts\.amazonaws\.com/)
    await other.close()
  })
})

describe('offline, with nobody else to publish the key set', () => {
  const sessions = () => installation.aws.credentials().filter(one => one.roleArn === installation.roleArn)
  let said: string
  let working: Task
  /** The client's heartbeats that wait. */
  const beats = new Set<() => void>()

  const client = () =>
    createMayfly({
      url: `http://127.0.0.1:${port}`,
      evidence: () => installation.jobToken(),
      now: installation.clock.now,
      schedule(_ms, run, options) {
        if (!options?.background) {
          const immediate = setImmediate(run)
          return () => clearImmediate(immediate)
        }
        const once = () => {
          beats.delete(once)
          run()
        }
        beats.add(once)
        return () => beats.delete(once)
      },
    })

  async function fetchFrom(method: string, path: string) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    const { code, error } = (await response.json()) as { code?: string; error?: string }
    return { status: response.status, headers: response.headers, code: code ?? error }
  }

  async function revokeAll(): Promise<{ code: number; said: string }> {
    said = ''
    const say = (text: string) => {
      said += text
    }
    const { clock, directory, configPath } = installation
    const terminal = { now: clock.now, edge: async () => edgeFor(installation) }
    const args = ['revoke', '--offline', '--everything', '--reason', 'a test', '--config', configPath]
    const code = await runInProcess(args, {
      home: directory,
      env: {},
      input: '',
      out: say,
      err: say,
      terminal,
    })
    return { code, said }
  }

  beforeAll(async () => {
    const api = createApi(server, installation)
    const task = await api.open([asks.artifacts(installation.roleArn)])
    expect((await api.credential(task)).status).toBe(201)
    working = await client().openTask({ purpose: 'a test', asks: [], heartbeatSeconds: 60 })
    installation.clock.advance(3_000)
    await server.look()
    await server.stop()
    expect(sessions().filter(one => one.alive)).toHaveLength(1)
  })

  test('where the port is taken, it is told why AWS does not believe it', async () => {
    const holder = await hold(port)
    const { code, said } = await revokeAll()
    await holder.close()
    expect(code).toBe(4)
    expect(said).toContain(`127.0.0.1:${port}: another process listens there already`)
    expect(said).toContain(`${PROVIDER}/.well-known/jwks.json, which must answer AWS`)
    expect(sessions().filter(one => one.alive)).toHaveLength(1)
  })

  test('it is published for as long as the command runs, and the session is denied', async () => {
    installation.clock.advance(10 * 60_000)
    const answers: unknown[] = []
    whilePublished = async () => {
      for (const [method, path] of [
        ['GET', '/readyz'],
        ['GET', `/v1/tasks/${working.id}`],
        ['POST', '/oauth/token'],
      ] as const) {
        const { status, headers, code } = await fetchFrom(method, path)
        answers.push([path, status, Number(headers.get('retry-after')) > 0, code])
      }
      for (const beat of [...beats]) beat()
      await until(() => beats.size === 1 || working.signal.aborted)
    }
    const { code, said } = await revokeAll()
    // Every other path was not found there, which clients take for the end of their task.
    expect(working.signal.aborted).toBe(false)
    expect(answers).toEqual([
      ['/readyz', 503, true, 'ledger_unavailable'],
      [`/v1/tasks/${working.id}`, 503, true, 'ledger_unavailable'],
      ['/oauth/token', 503, true, 'temporarily_unavailable'],
    ])
    expect(said).not.toContain('not published')
    expect([code, said]).toEqual([4, expect.stringContaining('1 revoked and not yet seen dead')])
    expect(sessions().filter(one => one.alive)).toEqual([])
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })
})
