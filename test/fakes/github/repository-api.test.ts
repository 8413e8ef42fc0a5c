import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createWorld, installationId, refusal, type World } from './fixture.ts'

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world.github.close())

const notFound = refusal(404, 'Not Found')
const notAccessible = refusal(403, 'Resource not accessible by integration')
const contents = (repo: string, path: string) => ({ owner: 'acme', repo, path })
const readRoute = 'GET /repos/{owner}/{repo}/contents/{path}'
const writeRoute = 'PUT /repos/{owner}/{repo}/contents/{path}'
const file = { message: 'change', content: Buffer.from('new').toString('base64') }

describe('the scope of a token is judged at each call', () => {
  test('a private repository in the list opens, one outside it does not exist', async () => {
    const token = await world.token({ repository_ids: [1], permissions: { contents: 'read' } })
    const read = { status: 200, data: { content: 'aGVsbG8=\n', type: 'file', name: 'README.md' } }
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject({ status: 200, data: { id: 1 } })
    expect(await world.call(token, readRoute, contents('API', 'README.md'))).toMatchObject(read)
    for (const route of [
      'GET /repos/acme/web',
      'GET /repos/acme/web2',
      'GET /repos/other/secret',
      'GET /repos/acme/no',
    ]) {
      expect(await world.call(token, route)).toMatchObject(notFound)
    }
    expect(await world.call(token, readRoute, contents('web', 'README.md'))).toMatchObject(notFound)
    expect(await world.call(token, writeRoute, { ...contents('web', 'x'), ...file })).toMatchObject(notFound)
  })

  test('a missing permission is refused, with the one that was needed', async () => {
    const token = await world.token({ repository_ids: [1], permissions: { metadata: 'read' } })
    const calls: [string, string][] = [
      ['GET /repos/acme/api/contents/README.md', 'contents=read'],
      ['PUT /repos/acme/api/contents/README.md', 'contents=write'],
      ['GET /repos/acme/api/issues', 'issues=read'],
      ['POST /repos/acme/api/issues', 'issues=write'],
      ['GET /repos/acme/api/pulls', 'pull_requests=read'],
      ['POST /repos/acme/api/pulls', 'pull_requests=write'],
      ['POST /repos/acme/api/git/refs', 'contents=write'],
      ['GET /repos/acme/api/actions/jobs/1', 'actions=read'],
      ['GET /repos/acme/api/actions/runs/1/attempts/1/jobs', 'actions=read'],
      ['GET /repos/acme/api/actions/runs/1/attempts/1', 'actions=read'],
    ]
    const bodies = { ...file, title: 'x', head: 'fix', base: 'main', ref: 'refs/heads/x', sha: '0' }
    for (const [route, needed] of calls) {
      const reply = await world.call(token, route, route.startsWith('GET') ? {} : bodies)
      expect([route, reply]).toMatchObject([route, notAccessible])
      expect(reply.headers['x-accepted-github-permissions']).toBe(needed)
    }
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject({ status: 200 })
  })

  test('reading does not write', async () => {
    const token = await world.token({
      permissions: { contents: 'read', issues: 'read', pull_requests: 'read' },
    })
    expect(await world.call(token, writeRoute, { ...contents('api', 'x'), ...file })).toMatchObject(
      notAccessible,
    )
    expect(await world.call(token, 'POST /repos/acme/api/issues', { title: 'x' })).toMatchObject(
      notAccessible,
    )
    expect(await world.call(token, readRoute, contents('api', 'x'))).toMatchObject(notFound)
  })

  test('a public repository is read by anyone and written by nobody without the permission', async () => {
    const token = await world.token({ repository_ids: [1], permissions: { contents: 'write' } })
    for (const authorization of [token, undefined]) {
      expect(await world.call(authorization, 'GET /repos/acme/docs')).toMatchObject({ status: 200 })
      expect(await world.call(authorization, readRoute, contents('docs', 'README.md'))).toMatchObject({
        status: 200,
      })
    }
    const put = { ...contents('docs', 'x'), ...file }
    expect(await world.call(token, writeRoute, put)).toMatchObject(notAccessible)
    expect(await world.call(undefined, writeRoute, put)).toMatchObject(
      refusal(401, 'Requires authentication'),
    )
    expect(await world.call(undefined, 'GET /repos/acme/api')).toMatchObject(notFound)
  })

  test('a workflow file needs the permission for workflows too', async () => {
    const token = await world.token({ permissions: { contents: 'write' } })
    const put = { ...contents('api', '.github/workflows/evil.yml'), ...file }
    expect(await world.call(token, writeRoute, put)).toMatchObject(notAccessible)
  })

  test('a token never reaches further than its installation does now', async () => {
    const token = await world.token({ permissions: { contents: 'write', issues: 'write' } })
    const { github } = world
    github.changeInstallation(installationId, { repositories: [1, 4], permissions: { contents: 'read' } })
    expect(await world.call(token, 'GET /repos/acme/web')).toMatchObject(notFound)
    expect(await world.call(token, 'GET /repos/acme/web2')).toMatchObject({ status: 200 })
    expect(await world.call(token, writeRoute, { ...contents('api', 'x'), ...file })).toMatchObject(
      notAccessible,
    )
    expect(await world.call(token, 'GET /repos/acme/api/issues')).toMatchObject(notAccessible)
    expect(await world.call(token, readRoute, contents('api', 'README.md'))).toMatchObject({ status: 200 })
  })
})

describe('names and ids', () => {
  test('a renamed repository is followed by its old name, until another takes that', async () => {
    const token = await world.token({ repository_ids: [1], permissions: { contents: 'write' } })
    const { github } = world
    github.renameRepository(1, 'core')
    const followed = { status: 200, data: { id: 1, full_name: 'acme/core' } }
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject(followed)
    const moved = await fetch(`${github.url}/repos/acme/api/contents/src`, {
      redirect: 'manual',
      headers: { authorization: token },
    })
    expect(moved.status).toBe(301)
    expect(moved.headers.get('location')).toBe(`${github.url}/repositories/1/contents/src`)
    github.addRepository({ id: 10, owner: 'acme', name: 'api' })
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject(notFound)
    expect(await world.call(token, 'GET /repositories/1')).toMatchObject(followed)
  })

  test('a removed repository is gone from the token', async () => {
    const token = await world.token({ repository_ids: [1, 2] })
    world.github.removeRepository(1)
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject(notFound)
    expect(await world.call(token, 'GET /installation/repositories')).toMatchObject({
      status: 200,
      data: { total_count: 1, repositories: [{ id: 2 }] },
    })
  })

  test('lists come in pages, with their neighbours in the Link header', async () => {
    const token = await world.token()
    const page = (per_page: number, at: number) =>
      world.call(token, 'GET /installation/repositories', { per_page, page: at })
    const second = await page(1, 2)
    expect(second).toMatchObject({ data: { total_count: 3, repositories: [{ id: 2 }] } })
    expect(second.headers.link).toMatch(/page=1>; rel="prev".*page=3>; rel="next"/)
    expect((await page(2, 2)).headers.link).not.toMatch(/rel="next"/)
  })
})

describe('contents', () => {
  test('created, then updated only with the sha of what is replaced', async () => {
    const token = await world.token()
    const put = (more: Record<string, unknown>) =>
      world.call(token, writeRoute, { ...contents('api', 'a b/c.txt'), ...file, ...more })
    const created = await put({})
    expect(created).toMatchObject({ status: 201, data: { commit: { author: { name: 'mayfly[bot]' } } } })
    const { sha } = (created.data as { content: { sha: string } }).content
    expect(await put({})).toMatchObject(refusal(422, /"sha" wasn't supplied/))
    expect(await put({ sha: '0'.repeat(40) })).toMatchObject(refusal(409, /does not match/))
    expect(await put({ sha, content: '' })).toMatchObject({ status: 200 })
    expect(await put({ content: '%' })).toMatchObject(refusal(422, /not valid Base64/))
    expect(await put({ branch: 'none' })).toMatchObject(refusal(404, 'Branch none not found'))
  })

  test('a folder lists its entries, and the raw media type is the bytes', async () => {
    const token = await world.token()
    const root = await world.call(token, readRoute, contents('api', ''))
    expect(root).toMatchObject({
      data: [
        { name: 'README.md', type: 'file' },
        { name: 'src', type: 'dir' },
        { name: '.github', type: 'dir' },
      ],
    })
    const raw = {
      ...contents('api', 'README.md'),
      headers: { authorization: token, accept: 'application/vnd.github.raw+json' },
    }
    expect((await world.call(token, readRoute, raw)).data).toBe('hello')
  })
})

describe('issues and pull requests', () => {
  test("are created as the App's bot under one sequence of numbers", async () => {
    const token = await world.token()
    const issue = await world.call(token, 'POST /repos/acme/api/issues', { title: 'Broken' })
    const author = { login: 'mayfly[bot]', type: 'Bot' }
    expect(issue).toMatchObject({ status: 201, data: { number: 1, title: 'Broken', user: author } })
    const pull = await world.call(token, 'POST /repos/acme/api/pulls', {
      title: 'Fix',
      head: 'fix',
      base: 'main',
    })
    expect(pull).toMatchObject({ status: 201, data: { number: 2, head: { ref: 'fix' }, user: author } })
    expect(await world.call(token, 'GET /repos/acme/api/issues')).toMatchObject({ data: [{ number: 1 }] })
    expect(await world.call(token, 'GET /repos/acme/api/pulls')).toMatchObject({ data: [{ number: 2 }] })
  })

  test('a pull request wants branches that exist; a branch is made from the head of another', async () => {
    const token = await world.token()
    const pull = { title: 'Fix', head: 'topic', base: 'main' }
    const invalid = {
      status: 422,
      data: { message: 'Validation Failed', errors: [{ field: 'head', code: 'invalid' }] },
    }
    expect(await world.call(token, 'POST /repos/acme/api/pulls', pull)).toMatchObject(invalid)
    const made = await world.call(token, 'POST /repos/acme/api/pulls', { ...pull, head: 'fix' })
    const { sha } = (made.data as { base: { sha: string } }).base
    const ref = { ref: 'refs/heads/topic', sha }
    expect(await world.call(token, 'POST /repos/acme/api/git/refs', ref)).toMatchObject({ status: 201 })
    expect(await world.call(token, 'POST /repos/acme/api/git/refs', ref)).toMatchObject(
      refusal(422, /already exists/),
    )
    expect(await world.call(token, 'POST /repos/acme/api/pulls', pull)).toMatchObject({ status: 201 })
  })
})

describe('Actions jobs', () => {
  test('are listed per attempt, found by the check run id, and end when they are told to', async () => {
    const token = await world.token({ permissions: { actions: 'read' } })
    const { github } = world
    github.addWorkflowRun({ id: 300, repositoryId: 1, headBranch: 'fix' })
    github.addJob({ id: 501, runId: 300, name: 'build' })
    github.addJob({ id: 502, runId: 300, runAttempt: 2, name: 'build', status: 'queued' })
    const list = (attempt: number) =>
      world.call(token, `GET /repos/acme/api/actions/runs/300/attempts/${attempt}/jobs`)
    expect(await list(1)).toMatchObject({ status: 200, data: { total_count: 1, jobs: [{ id: 501 }] } })
    expect(await list(2)).toMatchObject({ data: { jobs: [{ id: 502, status: 'queued', run_attempt: 2 }] } })
    expect(await list(3)).toMatchObject(notFound)
    const job = () => world.call(token, 'GET /repos/acme/api/actions/jobs/501')
    expect(await job()).toMatchObject({
      data: { status: 'in_progress', conclusion: null, completed_at: null },
    })
    github.setJob(501, { conclusion: 'failure' })
    expect(await job()).toMatchObject({
      data: { status: 'completed', conclusion: 'failure', completed_at: '2026-11-22T09:30:00Z' },
    })
    const attempt = (number: number) =>
      world.call(token, `GET /repositories/1/actions/runs/300/attempts/${number}`)
    github.endRun(300, { conclusion: 'failure' })
    expect(await attempt(1)).toMatchObject({ data: { status: 'completed', conclusion: 'failure' } })
    expect(await attempt(2)).toMatchObject({ data: { status: 'in_progress', run_attempt: 2 } })
    expect(await attempt(3)).toMatchObject(notFound)
    expect(await world.call(token, 'GET /repos/acme/web/actions/jobs/501')).toMatchObject(notFound)
    expect(await world.call(token, 'GET /repos/acme/api/actions/jobs/999')).toMatchObject(notFound)
  })
})
