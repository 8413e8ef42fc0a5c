/** Rows R: bytes on the socket that are no request, too much of one, or two in one. */
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadSettings } from '../../src/config.ts'
import { createApp } from '../../src/http/app.ts'
import { type Listener, listen } from '../../src/http/listen.ts'
import { LIMITS } from '../../src/limits.ts'
import { type Core, openCore } from '../../src/open-core.ts'
import { createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'
import { attackedBroker, exchangeRequest } from './attacked-broker.ts'
import { testUnharmed } from './refusals.ts'

const it = attackedBroker()

type Answer = { statuses: number[]; text: string }

function open(url: string): Socket {
  const { port } = new URL(url)
  return connect(Number(port), '127.0.0.1')
}

/** Sends the bytes and reads until the server has closed; what came is read as a row of answers. */
function raw(url: string, bytes: string | Uint8Array): Promise<Answer> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    const socket = open(url)
    socket.on('data', chunk => chunks.push(chunk))
    // A server that has answered and closed may reset what is still being sent.
    socket.on('error', () => {})
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({
        text,
        statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)),
      })
    })
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
}

const FORM = 'application/x-www-form-urlencoded'
const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`
/** A GET of the liveness page with these header lines; the connection ends with the answer. */
const get = (...lines: string[]) => head('GET /livez HTTP/1.1', 'Host: a.test', 'Connection: close', ...lines)
const post = (body: string, ...lines: string[]) =>
  `${head('POST /oauth/token HTTP/1.1', 'Host: a.test', 'Connection: close', `Content-Type: ${FORM}`, ...lines)}${body}`
const sized = (body: string, ...lines: string[]) => post(body, `Content-Length: ${body.length}`, ...lines)
const chunked = (body: string) =>
  post(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`, 'Transfer-Encoding: chunked')
const filler = (count: number) => Array.from({ length: count }, (_, at) => `X-${at}: x`)
/** What a smuggler would have answered behind the first request. */
const SMUGGLED = 'GET /openapi.json HTTP/1.1\r\nHost: a.test\r\n\r\n'

type Row = readonly [id: string, what: string, bytes: () => string | Uint8Array, status: number]

const rows: readonly Row[] = [
  ['R1', 'a body of 65 KiB', () => sized('x'.repeat(65 * 1_024)), 413],
  ['R1', 'a body of 65 KiB in one chunk', () => chunked('x'.repeat(65 * 1_024)), 413],
  [
    'R1',
    'a body of 65 KiB in chunks of a byte',
    () => post(`${'1\r\nx\r\n'.repeat(65 * 1_024)}0\r\n\r\n`, 'Transfer-Encoding: chunked'),
    413,
  ],
  ['R1', 'a body that is announced as a petabyte', () => post('', 'Content-Length: 1125899906842624'), 413],
  ['R1', 'a body of a megabyte', () => sized('x'.repeat(1_048_576)), 413],
  ['R1', 'headers of 17 KiB', () => get(`X: ${'x'.repeat(17 * 1_024)}`), 431],
  [
    'R1',
    'many headers of 17 KiB together',
    () => get(...Array.from({ length: 17 }, (_, at) => `X-${at}: ${'x'.repeat(1_024)}`)),
    431,
  ],
  ['R1', 'a path of 17 KiB', () => head(`GET /${'x'.repeat(17 * 1_024)} HTTP/1.1`, 'Host: a.test'), 431],
  ['R1', 'the name of a header of 17 KiB', () => get(`${'x'.repeat(17 * 1_024)}: x`), 431],
  ['R1', '101 headers', () => get(...filler(99)), 431],
  ['R1', 'two thousand headers', () => get(...filler(2_000)), 431],
  ['R1', '101 headers, the last a second Host', () => get(...filler(98), 'Host: b.test'), 431],
  ['R1', 'a hundred headers and a good request', () => get(...filler(98)), 200],
  ...['Host: a.test', 'host: b.test', 'HOST: a.test'].map(
    (line): Row => ['R1', `a second Host: ${line}`, () => get(line), 400],
  ),
  ...['Authorization', 'DPoP', 'Content-Type', 'Idempotency-Key'].flatMap((name): Row[] => [
    ['R1', `two of ${name}`, () => get(`${name}: a`, `${name}: a`), 400],
    [
      'R1',
      `two of ${name} in other letters`,
      () => get(`${name.toLowerCase()}: a`, `${name.toUpperCase()}: b`),
      400,
    ],
    ['R1', `two of ${name}, one empty`, () => get(`${name}:`, `${name}: b`), 400],
  ]),
  [
    'R3',
    'Content-Length and Transfer-Encoding',
    () =>
      post(`0\r\n\r\n${SMUGGLED}`, `Content-Length: ${5 + SMUGGLED.length}`, 'Transfer-Encoding: chunked'),
    400,
  ],
  [
    'R3',
    'Transfer-Encoding and Content-Length',
    () => post(`0\r\n\r\n${SMUGGLED}`, 'Transfer-Encoding: chunked', 'Content-Length: 5'),
    400,
  ],
  [
    'R3',
    'two of Content-Length',
    () => post(SMUGGLED, 'Content-Length: 0', `Content-Length: ${SMUGGLED.length}`),
    400,
  ],
  [
    'R3',
    'two of Content-Length that agree',
    () => post('abcde', 'Content-Length: 5', 'Content-Length: 5'),
    400,
  ],
  ...[
    '5, 5',
    '5,6',
    '5 5',
    '+5',
    '-5',
    '0x5',
    '5.0',
    '5e0',
    'five',
    '',
    '18446744073709551616',
    '99999999999999999999999',
    '\u0665',
  ].map(
    (length): Row => [
      'R3',
      `the Content-Length ${JSON.stringify(length)}`,
      () => post('abcde', `Content-Length: ${length}`),
      400,
    ],
  ),
  ...[
    'identity, chunked, identity',
    'xchunked',
    'chunked, identity',
    'chunked;q=1',
    '"chunked"',
    'chunked\x0b',
    'gzip',
    'identity',
  ].map(
    (coding): Row => [
      'R3',
      `the Transfer-Encoding ${JSON.stringify(coding)}`,
      () => post(`0\r\n\r\n${SMUGGLED}`, `Transfer-Encoding: ${coding}`),
      400,
    ],
  ),
  [
    'R3',
    'a Transfer-Encoding that hides behind a space',
    () => post(`0\r\n\r\n${SMUGGLED}`, 'Transfer-Encoding : chunked'),
    400,
  ],
  ...['x', '-1', '0x1', ' 1', '1 ', 'ffffffffffffffffff', ''].map(
    (size): Row => [
      'R3',
      `the chunk size ${JSON.stringify(size)}`,
      () => post(`${size}\r\na\r\n0\r\n\r\n`, 'Transfer-Encoding: chunked'),
      400,
    ],
  ),
  [
    'R3',
    'a chunk longer than it says',
    () => post(`1\r\nab\r\n0\r\n\r\n`, 'Transfer-Encoding: chunked'),
    400,
  ],
  ['R3', 'chunks that end in bare line feeds', () => post(`1\na\n0\n\n`, 'Transfer-Encoding: chunked'), 400],
  ['R3', 'a bare line feed after a header', () => 'GET /livez HTTP/1.1\r\nHost: a.test\nX: x\r\n\r\n', 400],
  ['R3', 'bare line feeds only', () => 'GET /livez HTTP/1.1\nHost: a.test\n\n', 400],
  ['R3', 'a bare carriage return', () => get('X: a\rY: b'), 400],
  ['R3', 'a folded header', () => get('X: a', ' b'), 400],
  ['R3', 'a header folded with a tab', () => get('X: a', '\tb'), 400],
  ['R3', 'a folded first header', () => head('GET /livez HTTP/1.1', ' Host: a.test'), 400],
  ['R3', 'a space before the colon', () => get('X : a'), 400],
  ['R3', 'a tab before the colon', () => get('X\t: a'), 400],
  ...[
    'X Y: a',
    ': a',
    'X',
    'X\0: a',
    'X: a\0b',
    '\u00e9: a',
    'X(: a',
    '"X": a',
    'X: a\x01b',
    'X: a\x7fb',
  ].map((line): Row => ['R3', `the header ${JSON.stringify(line)}`, () => get(line), 400]),
  ['R3', 'no Host', () => head('GET /livez HTTP/1.1', 'Connection: close'), 400],
  ['R3', 'no header at all', () => head('GET /livez HTTP/1.1'), 400],
  ['R3', 'a Host behind a space', () => head('GET /livez HTTP/1.1', 'Host : a.test'), 400],
  ...[
    'a b',
    'a.test/path',
    'me@a.test',
    'a.test?x',
    'a.test#x',
    '[::1',
    'a.test:x',
    'a.test:99999',
    'a\\b',
    '%00',
    '<x>',
  ].map(
    (host): Row => [
      'R4',
      `the Host ${host}`,
      () => head('GET /livez HTTP/1.1', `Host: ${host}`, 'Connection: close'),
      400,
    ],
  ),
  ...[
    'GET /livez',
    'GET /livez HTTP/0.9',
    'GET /livez HTTP/1.2',
    'GET /livez HTTP/2.0',
    'GET /livez HTTP/9.9',
    'GET /livez http/1.1',
    'GET /livez HTTP/1.1 x',
    'get /livez HTTP/1.1',
    'G\0T /livez HTTP/1.1',
    'NONSENSE /livez HTTP/1.1',
    ' GET /livez HTTP/1.1',
    'GET /li vez HTTP/1.1',
    'GET /li\0vez HTTP/1.1',
    'GET HTTP/1.1',
    '/livez',
    'PRI * HTTP/2.0',
    'GET livez HTTP/1.1',
    'GET ftp:/livez HTTP/1.1',
    'SSH-2.0-OpenSSH_9.2',
  ].map(
    (line): Row => [
      'R4',
      `the request line ${JSON.stringify(line)}`,
      () => head(line, 'Host: a.test', 'Connection: close'),
      400,
    ],
  ),
  ['R4', 'a TLS handshake', () => Buffer.from('160301020001000001fc0303', 'hex'), 400],
  ['R4', 'noise', () => Buffer.from(Array.from({ length: 256 }, (_, at) => 255 - at)), 400],
  ['R4', 'an expectation that nobody can meet', () => get('Expect: a-miracle'), 417],
  [
    'R4',
    'a request target on another host',
    () => head('GET http://evil.test/nothing HTTP/1.1', 'Host: a.test', 'Connection: close'),
    404,
  ],
  [
    'R4',
    'dots in the path',
    () => head('GET /livez/../nothing HTTP/1.1', 'Host: a.test', 'Connection: close'),
    404,
  ],
  [
    'R4',
    'TRACE',
    () => head('TRACE /livez HTTP/1.1', 'Host: a.test', 'Connection: close', 'X-Secret: echo'),
    404,
  ],
  [
    'R4',
    'an upgrade',
    () => head('GET /nothing HTTP/1.1', 'Host: a.test', 'Connection: close, upgrade', 'Upgrade: websocket'),
    404,
  ],
]

describe('R: one request at a time, of a bounded size', () => {
  testUnharmed(it, () => {
    test.each(rows)('%s %s', async (_id, _what, bytes, status) => {
      const { statuses, text } = await raw(it.running.url, bytes())
      expect(statuses, text).toEqual([status])
      expect(text.toLowerCase()).toContain('connection: close')
      expect(text).not.toContain('echo')
    })

    test('R4 CONNECT is no tunnel', async () => {
      const { statuses } = await raw(
        it.running.url,
        head('CONNECT evil.test:443 HTTP/1.1', 'Host: evil.test:443'),
      )
      expect(statuses).toEqual([])
    })

    test('a good exchange smuggled into a body is not answered', async () => {
      const { path, type, body } = exchangeRequest(it.goodToken())
      const inner = `${head(`POST ${path} HTTP/1.1`, 'Host: a.test', `Content-Type: ${type}`, `Content-Length: ${String(body).length}`)}${body}`
      const attempts = [
        post(`0\r\n\r\n${inner}`, `Content-Length: ${5 + inner.length}`, 'Transfer-Encoding: chunked'),
        post(inner, 'Content-Length: 0', `Content-Length: ${inner.length}`),
        post(inner, 'Content-Length: 0 '),
        sized(inner),
        `${sized('x'.repeat(65 * 1_024))}${inner}`,
      ]
      for (const attempt of attempts) {
        const { statuses, text } = await raw(it.running.url, attempt)
        expect(statuses).toHaveLength(1)
        expect(statuses[0], text).toBeGreaterThanOrEqual(400)
        expect(text).not.toContain('access_token')
      }
    })

    test('R5 two thousand nested bodies, and the broker is alive', async () => {
      const bomb = { method: 'POST', path: '/v1/tasks', type: 'application/json', body: '['.repeat(30_000) }
      for (let round = 0; round < 20; round++) {
        const replies = await Promise.all(Array.from({ length: 100 }, () => it.send(bomb)))
        expect(new Set(replies.map(reply => reply.status))).toEqual(new Set([400]))
      }
    })
  })
})

describe('R: slow clients, and many of them', () => {
  const CONNECTIONS = 8
  const limits = {
    ...LIMITS,
    headersTimeoutMs: 100,
    requestTimeoutMs: 200,
    keepAliveTimeoutMs: 100,
    connectionsCheckMs: 20,
    connections: CONNECTIONS,
  }
  let installation: Installation
  let core: Core
  let listener: Listener
  beforeAll(async () => {
    installation = await createInstallation()
    const edge = edgeFor(installation)
    core = await openCore(
      await loadSettings(installation.configPath, edge.files, { attestorTypes, issuerTypes }),
      edge,
    )
    await core.keys.ensure()
    const app = createApp(core.broker, {
      ...{ publicUrl: 'http://127.0.0.1:8480', resourceServers: core.resourceServers, keys: core.keys },
      receiptKeys: core.receiptKeys,
      webIdentityKeys: core.webIdentityKeys,
      drills: { start: () => expect.unreachable() },
      registry: core.registry,
      ...{
        proxyHops: 0,
        version: 'test',
        operators: true,
        stopping: () => false,
        notReady: async () => undefined,
      },
    })
    listener = await listen(app, { host: '127.0.0.1', port: 0 }, limits)
  })
  afterAll(async () => {
    await listener?.close()
    await core?.close()
    await installation?.close()
  })

  /** Sends a piece again and again, and is told when the server has had enough. */
  async function drip(first: string, piece: string): Promise<Answer> {
    return new Promise(resolve => {
      const chunks: Buffer[] = []
      const socket = open(listener.url)
      const timer = setInterval(() => socket.write(piece), 20)
      socket.on('data', chunk => chunks.push(chunk)).on('error', () => {})
      socket.on('close', () => {
        clearInterval(timer)
        const text = Buffer.concat(chunks).toString('latin1')
        resolve({
          text,
          statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)),
        })
      })
      socket.write(first)
    })
  }

  test.each([
    ['headers that never end', 'GET /livez HTTP/1.1\r\nHost: a.test\r\n', 'X: x\r\n'],
    ['a request line that never ends', 'GET /', 'x'],
    ['a body that never ends', post('', 'Content-Length: 60000'), 'x'],
    ['chunks that never end', post('', 'Transfer-Encoding: chunked'), '1\r\nx\r\n'],
    ['blank lines', '\r\n', '\r\n'],
  ])('R2 %s: the server closes', async (_what, first, piece) => {
    const { statuses } = await drip(first, piece)
    expect(statuses.filter(status => status < 400)).toEqual([])
  })

  test.each([
    ['that says nothing', ''],
    ['that says half a line', 'GET /liv'],
    ['that is kept after a good answer', head('GET /livez HTTP/1.1', 'Host: a.test')],
    ['that announces a body and sends none', post('', 'Content-Length: 10')],
  ])('R2 a connection %s is closed', async (_what, first) => {
    await raw(listener.url, first)
  })

  test('R2 connections beyond the cap are closed, and served again when others have gone', async () => {
    const held = await Promise.all(
      Array.from(
        { length: CONNECTIONS },
        () =>
          new Promise<Socket>(resolve => {
            const socket = open(listener.url)
            socket.on('error', () => {})
            socket.once('data', () => resolve(socket))
            socket.write(head('GET /livez HTTP/1.1', 'Host: a.test'))
          }),
      ),
    )
    const beyond = await raw(listener.url, get())
    for (const socket of held) socket.destroy()
    expect(beyond.statuses).toEqual([])
    for (;;) if ((await raw(listener.url, get())).statuses[0] === 200) break
  })

  test('whoever hangs up in the middle of a body leaves nothing behind', async () => {
    for (let turn = 0; turn < CONNECTIONS * 2; turn++) {
      const socket = open(listener.url)
      await new Promise<void>(resolve =>
        socket.write(post('grant_type=', 'Content-Length: 1000'), () => resolve()),
      )
      await new Promise<void>(resolve => socket.on('close', () => resolve()).destroy())
    }
    for (;;) if ((await raw(listener.url, get())).statuses[0] === 200) break
    expect((await core.broker.ledger.read.tasks({}, { limit: 1 })).items).toEqual([])
  })
})
