/** What the stand-in enforces, row by row: as GitHub answers git over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWorld, type World } from '../github/fixture.ts'
import { type GitServer, startGitServer } from './git-server.ts'

let world: World
let server: GitServer

beforeAll(async () => {
  world = await createWorld()
  server = await startGitServer({
    github: world.github,
    repositories: [
      { id: 1, name: 'acme/api' },
      { id: 3, name: 'acme/docs', private: false },
      { id: 9, name: 'other/secret' },
    ],
  })
})
afterAll(async () => {
  await Promise.all([world?.github.close(), server?.close()])
})

const token = async (body: object): Promise<string> => (await world.token({ ...body })).slice('token '.length)
const read = { repositories: ['api'], permissions: { contents: 'read' } }
const write = { repositories: ['api'], permissions: { contents: 'write' } }

async function refs(repository: string, service: 'upload' | 'receive', password?: string): Promise<Response> {
  const basic = `Basic ${Buffer.from(`x-access-token:${password}`).toString('base64')}`
  return fetch(`${server.url}/${repository}/info/refs?service=git-${service}-pack`, {
    headers: password === undefined ? {} : { authorization: basic },
  })
}

describe('lets in as GitHub does', () => {
  test('what is private needs a credential, and git is told how to give one', async () => {
    const answer = await refs('acme/api.git', 'upload')
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Basic realm="GitHub"')
    expect((await refs('acme/none', 'upload')).status).toBe(401)
  })

  test('what is public is read by anyone, and written by nobody without a credential', async () => {
    expect((await refs('acme/docs', 'upload')).status).toBe(200)
    expect((await refs('acme/docs', 'receive')).status).toBe(401)
    expect((await refs('acme/docs', 'receive', await token(write))).status).toBe(403)
  })

  test('contents: read fetches, write pushes too, nothing else does either', async () => {
    const reader = await token(read)
    const writer = await token(write)
    const neither = await token({ repositories: ['api'], permissions: { issues: 'write' } })
    expect((await refs('acme/api', 'upload', reader)).status).toBe(200)
    expect((await refs('acme/api', 'receive', reader)).status).toBe(403)
    expect((await refs('acme/api', 'receive', writer)).status).toBe(200)
    expect((await refs('ACME/Api.wiki.git', 'receive', writer)).status).toBe(200)
    expect((await refs('acme/api', 'upload', neither)).status).toBe(403)
  })

  test('what the token does not reach does not exist', async () => {
    expect((await refs('other/secret', 'upload', await token(write))).status).toBe(404)
    expect((await refs('acme/none', 'upload', await token(write))).status).toBe(404)
    expect((await fetch(`${server.url}/acme/api/HEAD`)).status).toBe(401)
  })

  test('a token that is unknown, revoked or expired is no credential, also for what is public', async () => {
    expect((await refs('acme/api', 'upload', 'ghs_made_up')).status).toBe(401)
    expect((await refs('acme/docs', 'upload', 'ghs_made_up')).status).toBe(401)
    const revoked = await token(write)
    const headers = { authorization: `Bearer ${revoked}`, 'user-agent': 'test' }
    await fetch(`${world.github.url}/installation/token`, { method: 'DELETE', headers })
    expect((await refs('acme/api', 'upload', revoked)).status).toBe(401)
    const expired = await token(write)
    world.clock.ms += 61 * 60_000
    expect((await refs('acme/api', 'upload', expired)).status).toBe(401)
  })

  test('each request is judged by itself, and told', async () => {
    server.requests.length = 0
    await refs('acme/api', 'upload', 'ghs_made_up')
    expect(server.requests).toEqual([
      {
        ...{ repository: 'acme/api', service: 'git-upload-pack', method: 'GET', status: 401 },
        ...{ user: 'x-access-token', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      },
    ])
  })
})
