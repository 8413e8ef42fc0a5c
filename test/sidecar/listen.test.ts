/** Who is let in: on loopback any program of the machine can knock, and any page of a browser. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '../../issuers/shared/secret.ts'
import { connectSidecar, SidecarError, sidecarAddress } from '../../src/sidecar/call.ts'
import { claimSocket, SocketUnusable } from '../../src/sidecar/claim-socket.ts'
import { SIDECAR_LIMITS } from '../../src/sidecar/limits.ts'
import { type Answerer, type Listening, listenOnLoopback } from '../../src/sidecar/listen.ts'

const LOCAL = 'the-local-token'
const AWS = 'the-token-for-aws'
const seen: string[] = []
const answerer: Answerer = async ({ method, url, read }) => {
  seen.push(`${method} ${url.pathname}`)
  if (method === 'POST') await read()
  return { status: 200, type: 'application/json', body: { tasks: [] } }
}

let folder: string
let server: Listening & { url: string }
let host: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-listen-'))
  server = await listenOnLoopback(answerer, { local: new Secret(LOCAL), aws: new Secret(AWS) })
  host = new URL(server.url).host
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** What is written goes out as it is. @returns status and body; 0 where the connection was cut */
async function raw(lines: readonly string[], body = ''): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text }
}
const get = (path: string, ...headers: string[]) =>
  raw([`GET ${path} HTTP/1.1`, 'Connection: close', ...headers])
const bearer = `Authorization: Bearer ${LOCAL}`

describe('on loopback', () => {
  test.each([
    ['no token', () => get('/v1/tasks', `Host: ${host}`), 401],
    ['another token', () => get('/v1/tasks', `Host: ${host}`, 'Authorization: Bearer x'), 401],
    ['the token for AWS elsewhere', () => get('/v1/tasks', `Host: ${host}`, `Authorization: ${AWS}`), 401],
    ['two tokens', () => get('/v1/tasks', `Host: ${host}`, bearer, 'Authorization: Bearer x'), 421],
    ['a name that was made to point here', () => get('/v1/tasks', 'Host: evil.example:80', bearer), 421],
    [
      'another name of this machine',
      () => get('/v1/tasks', `Host: localhost:${host.split(':')[1]}`, bearer),
      421,
    ],
    ['two hosts', () => get('/v1/tasks', `Host: ${host}`, 'Host: evil.example', bearer), 421],
    ['no host', () => get('/v1/tasks', bearer), 400],
    ['a page', () => get('/v1/tasks', `Host: ${host}`, bearer, 'Origin: https://evil.example'), 421],
    [
      'a page of no origin',
      () => get('/v1/tasks', `Host: ${host}`, bearer, 'Sec-Fetch-Site: cross-site'),
      421,
    ],
    [
      'a target with a host of its own',
      () => get('http://evil.example/v1/tasks', `Host: ${host}`, bearer),
      400,
    ],
    ['a target that names a host by slashes', () => get('//evil.example/', `Host: ${host}`, bearer), 400],
    [
      'the preflight of a page',
      () => raw(['OPTIONS /v1/tasks HTTP/1.1', `Host: ${host}`, 'Connection: close']),
      401,
    ],
    [
      'headers beyond measure',
      () => get('/v1/tasks', `Host: ${host}`, bearer, `X: ${'x'.repeat(20_000)}`),
      431,
    ],
  ])('%s is refused', async (_, send, status) => {
    const before = seen.length
    const answer = await send()
    expect(answer.status).toBe(status)
    expect(seen.length).toBe(before)
    for (const secret of [LOCAL, AWS]) expect(answer.text).not.toContain(secret)
    expect(answer.text.toLowerCase()).not.toContain('access-control')
  })

  test('its own token opens everything, that for AWS only AWS, as it stands or as a bearer token', async () => {
    expect((await get('/v1/tasks', `Host: ${host}`, bearer)).status).toBe(200)
    for (const value of [AWS, `Bearer ${AWS}`, LOCAL])
      expect((await get('/aws/ask_1', `Host: ${host}`, `Authorization: ${value}`)).status).toBe(200)
    const refused = await get('/aws/ask_1', `Host: ${host}`)
    expect(refused.text).toContain('"Code":"local_unauthorized","Message":"')
  })

  test.each([
    ['another type', 'text/plain', '{}', 400],
    ['too much', 'application/json', ' '.repeat(SIDECAR_LIMITS.requestBytes + 1), 400],
    ['enough', 'application/json; charset=utf-8', '{}', 200],
  ])('a body of %s', async (_, type, body, status) => {
    const head = [
      'POST /v1/tasks HTTP/1.1',
      `Host: ${host}`,
      bearer,
      `Content-Type: ${type}`,
      'Connection: close',
    ]
    expect((await raw([...head, `Content-Length: ${body.length}`], body)).status).toBe(status)
  })
})

describe('a socket that others know', () => {
  const client = (path: string) => connectSidecar({ socket: path })

  test('is for its owner, and a second server is kept away', async () => {
    const path = join(folder, 'own', 'agent.sock')
    const first = await claimSocket(answerer, path)
    expect([(await stat(join(folder, 'own'))).mode & 0o777, (await stat(path)).mode & 0o777]).toEqual([
      0o700, 0o600,
    ])
    await expect(claimSocket(answerer, path)).rejects.toThrow(/another mayfly agent answers/)
    expect(await client(path).tasks()).toEqual([])
    await first.close()
    expect(await readdir(join(folder, 'own'))).toEqual([])
    await expect(client(path).tasks()).rejects.toMatchObject({ code: 'sidecar_unreachable' })
  })

  test('is taken again where whoever had it was killed', async () => {
    const path = join(folder, 'stale', 'agent.sock')
    await mkdir(join(folder, 'stale'), { mode: 0o700 })
    const code = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    await promisify(execFile)(process.execPath, ['-e', code, path]).catch(() => {})
    expect((await stat(path)).isSocket()).toBe(true)
    // Whoever comes first has it, and nobody has it twice.
    const both = await Promise.allSettled([claimSocket(answerer, path), claimSocket(answerer, path)])
    const taken = both.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
    expect(taken.length).toBe(1)
    expect(await client(path).tasks()).toEqual([])
    expect(await readdir(join(folder, 'stale'))).toEqual(['agent.sock'])
    await taken[0]!.close()
  })

  test('is not taken from a file, in a folder that lets others in, or where its path is too long', async () => {
    const file = join(folder, 'file', 'agent.sock')
    await mkdir(join(folder, 'file'), { mode: 0o700 })
    await writeFile(file, 'mine')
    await expect(claimSocket(answerer, file)).rejects.toThrow(SocketUnusable)
    expect((await stat(file)).isFile()).toBe(true)
    const open = join(folder, 'open')
    await mkdir(open)
    await chmod(open, 0o755)
    await expect(claimSocket(answerer, join(open, 'agent.sock'))).rejects.toThrow(`chmod 700 ${open}`)
    await expect(claimSocket(answerer, join(folder, 'x'.repeat(120)))).rejects.toThrow('at most 103 bytes')
  })
})

test('an address is found in the environment, whole or not at all', () => {
  const url = 'http://127.0.0.1:1234'
  expect(sidecarAddress({ MAYFLY_SOCKET: '' })).toBeUndefined()
  expect(sidecarAddress({ MAYFLY_SOCKET: '/run/x.sock', MAYFLY_LOCAL_URL: url })).toEqual({
    socket: '/run/x.sock',
  })
  expect(sidecarAddress({ MAYFLY_LOCAL_URL: url, MAYFLY_LOCAL_TOKEN: 't' })).toMatchObject({ url })
  for (const env of [
    { MAYFLY_SOCKET: 'x.sock' },
    { MAYFLY_LOCAL_URL: url },
    { MAYFLY_LOCAL_URL: 'http://127.0.0.1.evil.example:1', MAYFLY_LOCAL_TOKEN: 't' },
    { MAYFLY_LOCAL_URL: 'https://evil.example', MAYFLY_LOCAL_TOKEN: 't' },
  ])
    expect(() => sidecarAddress(env)).toThrow(SidecarError)
})
