import { statSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConnectionDropped, type FaultHook } from '../faults.ts'
import { secondaryRateLimit } from './answer.ts'
import {
  appId,
  clientId,
  createWorld,
  installationId,
  minted,
  refusal,
  startMs,
  type World,
} from './fixture.ts'
import { createGithub, generateAppKey } from './github.ts'
import { handlers } from './handlers.ts'
import openapi from './openapi.json' with { type: 'json' }
import { operationIds } from './operations.ts'

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world.github.close())

const mintOperation = 'apps/create-installation-access-token'
const revokeOperation = 'apps/revoke-installation-access-token'
const at =
  (operation: string, when: 'before' | 'after', decision: Awaited<ReturnType<FaultHook>>): FaultHook =>
  call =>
    call.provider === 'github' && call.operation === operation && call.when === when ? decision : 'ok'

describe('faults on demand', () => {
  test('a mint dropped before its effect gave nothing; after it, a token nobody was told of', async () => {
    world.github.faults = at(mintOperation, 'before', 'drop')
    await expect(world.mint()).rejects.toThrow()
    expect(world.github.credentials()).toEqual([])
    world.github.faults = at(mintOperation, 'after', 'drop')
    await expect(world.mint()).rejects.toThrow()
    expect(world.github.credentials()).toMatchObject([{ alive: true }])
  })

  test('a revocation whose answer is lost has happened', async () => {
    const token = await world.token()
    world.github.faults = at(revokeOperation, 'before', { status: 502, body: '<html>' })
    expect(await world.call(token, 'DELETE /installation/token')).toMatchObject({ status: 502 })
    expect(world.github.credentials()).toMatchObject([{ alive: true }])
    world.github.faults = at(revokeOperation, 'after', { status: 504 })
    expect(await world.call(token, 'DELETE /installation/token')).toMatchObject({ status: 504 })
    expect(world.github.credentials()).toMatchObject([{ alive: false, revokedAt: startMs }])
  })

  test('without a socket, a drop rejects', async () => {
    const github = createGithub({
      now: () => startMs,
      random: bytes => new Uint8Array(bytes),
      faults: () => 'drop',
    })
    const request = new Request('http://github.test/app')
    await expect(github.handle(request)).rejects.toThrow(ConnectionDropped)
  })

  test('latency is waited for with the sleep that was given, before the effect', async () => {
    const slept: number[] = []
    const github = createGithub({
      now: () => startMs,
      random: bytes => new Uint8Array(bytes),
      sleep: async ms => void slept.push(ms),
    })
    github.latencyMs = 250
    await github.handle(new Request('http://github.test/app'))
    expect(slept).toEqual([250])
  })
})

describe('rate limits', () => {
  test('every answer counts, by App and by installation', async () => {
    const headers = (await world.mint()).headers
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999' })
    const token = await world.token()
    const listed = await world.call(token, 'GET /installation/repositories')
    expect(listed.headers).toMatchObject({
      'x-ratelimit-used': '1',
      'x-ratelimit-reset': String(Math.ceil(startMs / 1000) + 3600),
      'x-ratelimit-resource': 'core',
    })
  })

  test.each([403, 429] as const)('beyond the limit: %i until the reset, and no effect', async status => {
    world.github.limits = { appPerHour: 2, exceededStatus: status }
    await world.mint()
    await world.mint()
    const exceeded = await world.mint()
    expect(exceeded).toMatchObject(refusal(status, /API rate limit exceeded for app ID/))
    expect(exceeded.headers).toMatchObject({ 'x-ratelimit-remaining': '0' })
    expect(world.github.credentials()).toHaveLength(2)
    world.clock.ms = Number(exceeded.headers['x-ratelimit-reset']) * 1000
    expect(await world.mint()).toMatchObject({ status: 201 })
  })

  test('anonymous callers have sixty', async () => {
    const reply = await world.call(undefined, 'GET /repos/acme/docs')
    expect(reply.headers).toMatchObject({ 'x-ratelimit-limit': '60', 'x-ratelimit-remaining': '59' })
  })

  test('the secondary limit is answered on demand, with retry-after', async () => {
    world.github.faults = at(mintOperation, 'before', secondaryRateLimit(17, 429))
    const limited = await world.mint()
    expect(limited).toMatchObject(refusal(429, /secondary rate limit/))
    expect(limited.headers).toMatchObject({ 'retry-after': '17' })
  })
})

describe("requests are judged by GitHub's description", () => {
  test('the cut is small, and every operation in it is answered', () => {
    const cut = Object.values(openapi.paths).flatMap(item =>
      Object.values(item).map(({ operationId }) => operationId),
    )
    expect(cut.sort()).toEqual([...operationIds].sort())
    expect(Object.keys(handlers).sort()).toEqual([...operationIds].sort())
    expect(statSync(new URL('./openapi.json', import.meta.url)).size).toBeLessThan(150 * 1024)
  })

  test('what is not there is 404: path, method, id of the wrong form', async () => {
    const app = `bearer ${world.jwt()}`
    const routes = [
      'GET /nothing',
      'GET /installation/token',
      'GET /app/installations/abc',
      'GET /repositories/77',
      'GET /repos/acme/%',
    ]
    for (const route of routes)
      expect([route, await world.call(app, route)]).toMatchObject([route, refusal(404, 'Not Found')])
  })

  test('a body that is not JSON, not an object, or not as described', async () => {
    const token = await world.token()
    const post = async (body: string) => {
      const headers = { authorization: token, 'content-type': 'application/json' }
      const reply = await fetch(`${world.github.url}/repos/acme/api/issues`, {
        method: 'POST',
        headers,
        body,
      })
      return { status: reply.status, data: await reply.json() }
    }
    expect(await post('{')).toMatchObject(refusal(400, 'Problems parsing JSON'))
    expect(await post('[]')).toMatchObject(refusal(400, 'Body should be a JSON object'))
    expect(await post('{}')).toMatchObject(refusal(422, /required property 'title'/))
    expect(await post('{"title":"x","labels":"y"}')).toMatchObject(refusal(422, /labels must be array/))
    expect(await world.call(token, 'GET /installation/repositories', { per_page: 'x' })).toMatchObject(
      refusal(422, /per_page must be integer/),
    )
  })

  test('a request without a User-Agent is turned away', async () => {
    const reply = await world.github.handle(new Request(`${world.github.url}/app`))
    expect({ status: reply.status, data: await reply.json() }).toMatchObject(refusal(403, /User-Agent/))
  })
})

test("every answer has GitHub's request id, and its clock", async () => {
  world.clock.ms += 86_400_000
  const replies = [await world.mint(), await world.call(undefined, 'GET /nothing')]
  for (const { headers } of replies) {
    expect(headers).toMatchObject({
      'x-github-request-id': expect.stringMatching(/^[0-9A-F]{4}(:[0-9A-F]{6,8}){4}$/),
      date: 'Mon, 23 Nov 2026 09:30:00 GMT',
      'x-github-api-version-selected': '2022-11-28',
    })
  }
})

test('the paths of GitHub Enterprise Server are the same under /api/v3', async () => {
  const headers = { authorization: `Bearer ${world.jwt()}` }
  const url = `${world.github.url}/api/v3/app/installations/${installationId}/access_tokens`
  const reply = await fetch(url, { method: 'POST', headers })
  minted({ status: reply.status, data: await reply.json(), headers: {} })
})

test('the same clock and randomness give the same tokens', async () => {
  const { privateKeyPem, publicKeyPem } = generateAppKey()
  const authorization = `Bearer ${world.jwt({}, {}, privateKeyPem)}`
  const history = async () => {
    let state = 1
    const next = () => {
      state = (state * 48_271) % 2_147_483_647
      return state % 256
    }
    const random = (bytes: number) => Uint8Array.from({ length: bytes }, next)
    const github = createGithub({ now: () => startMs, random })
    github.addApp({ appId, clientId, slug: 'mayfly', publicKeyPem })
    github.addInstallation({ id: 1, appId, account: 'acme', repositories: 'all', permissions: {} })
    const headers = { authorization, 'user-agent': 'test' }
    const url = 'http://github.test/app/installations/1/access_tokens'
    await github.handle(new Request(url, { method: 'POST', headers }))
    await github.handle(new Request(url, { method: 'POST', headers }))
    return github.credentials().map(({ sha256 }) => sha256)
  }
  const first = await history()
  expect(new Set(first).size).toBe(2)
  expect(await history()).toEqual(first)
})
