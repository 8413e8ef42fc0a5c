/** The local server on a socket or a port: who may speak to it, and how much. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { chmod } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Secret } from '../../issuers/shared/secret.ts'
import { type LocalAnswer, type LocalRequest, refused } from './answer.ts'
import { SIDECAR_LIMITS } from './limits.ts'
import { problemOf, Refusal } from './refusal.ts'

export type Answerer = (request: LocalRequest) => Promise<LocalAnswer>

/** `aws` opens /aws alone. */
export type Tokens = { local: Secret; aws: Secret }

export type Listening = { close(): Promise<void> }

/**
 * On 127.0.0.1, at a port that is free. Any process of the machine can reach it, a browser too: every request
 * brings a token, names this very address as its host (or a name was made to point here), and is not a page's.
 */
export async function listenOnLoopback(
  answerer: Answerer,
  tokens: Tokens,
): Promise<Listening & { url: string }> {
  let host = ''
  const server = createLocalServer(answerer, request => {
    demandHost(request, host)
    demandToken(request, tokens)
  })
  await listening(server, { port: 0, host: '127.0.0.1' })
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: `http://${host}`, close: () => close(server) }
}

/**
 * On a Unix socket, whose folder lets in its owner alone. @param path one that is free
 * @throws NodeJS.ErrnoException `EADDRINUSE` where it is not
 */
export async function listenOnSocket(answerer: Answerer, path: string): Promise<Listening> {
  const server = createLocalServer(answerer, request => demandHost(request, 'localhost'))
  await listening(server, { path })
  try {
    await chmod(path, 0o600)
  } catch (error) {
    await close(server)
    throw error
  }
  return { close: () => close(server) }
}

function createLocalServer(answerer: Answerer, guard: (request: IncomingMessage) => void): Server {
  const server = createServer(
    {
      maxHeaderSize: SIDECAR_LIMITS.headerBytes,
      headersTimeout: SIDECAR_LIMITS.requestMs,
      requestTimeout: SIDECAR_LIMITS.requestMs,
      keepAliveTimeout: SIDECAR_LIMITS.idleMs,
    },
    (request, response) => void respond(answerer, guard, request, response),
  )
  // A connection that could not be taken is its caller's loss, and ends nothing.
  server.on('error', () => {})
  server.maxConnections = SIDECAR_LIMITS.connections
  server.maxHeadersCount = SIDECAR_LIMITS.headers
  return server
}

async function respond(
  answerer: Answerer,
  guard: (request: IncomingMessage) => void,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isAws = request.url?.startsWith('/aws/') === true
  let told: LocalAnswer
  try {
    guard(request)
    // An absolute form of the target would name a host of its own.
    const url = request.url?.startsWith('/') === true ? URL.parse(request.url, 'http://localhost') : null
    if (url === null || url.host !== 'localhost') throw new Refusal('request_invalid', 'the target is a path')
    told = await answerer({ method: request.method ?? '', url, read: () => readBody(request) })
  } catch (error) {
    told = refused(problemOf(error), isAws)
  }
  const text = JSON.stringify(told.body)
  response.writeHead(told.status, {
    'content-type': told.type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // What was not read of the request is not taken for another one.
    ...(request.complete ? {} : { connection: 'close' }),
  })
  response.end(text)
}

/** One Host header, and it is ours; a page's request says where the page is from. */
function demandHost({ headers, rawHeaders }: IncomingMessage, host: string): void {
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map(name => name.toLowerCase())
  const once = (name: string) => names.filter(one => one === name).length <= 1
  if (!once('host') || !once('authorization') || headers.host !== host)
    throw new Refusal('local_host_refused', 'the Host header is not the address of this server')
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined)
    throw new Refusal('local_host_refused', 'pages of a browser are not answered')
}

/** AWS SDKs send their token as it stands, everybody else as a bearer token. */
function demandToken({ headers, url }: IncomingMessage, tokens: Tokens): void {
  const given = (headers.authorization ?? '').replace(/^Bearer /i, '')
  const isAws = url?.startsWith('/aws/') === true
  if (isSame(given, tokens.local) || (isAws && isSame(given, tokens.aws))) return
  throw new Refusal('local_unauthorized', 'the token of this server is missing, or it is another')
}

function isSame(given: string, token: Secret): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(token.reveal()))
}

async function readBody(request: IncomingMessage): Promise<string> {
  if (!/^application\/json *(?:; *charset=utf-8)?$/i.test(request.headers['content-type'] ?? ''))
    throw new Refusal('request_invalid', 'the body must be application/json')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > SIDECAR_LIMITS.requestBytes)
      throw new Refusal('request_invalid', `the body is larger than ${SIDECAR_LIMITS.requestBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function listening(server: Server, where: { path: string } | { port: number; host: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Whoever still waits for an answer is not waited for: what it asked about ends, too. */
function close(server: Server): Promise<void> {
  const closed = new Promise<void>(done => server.close(() => done()))
  server.closeAllConnections()
  return closed
}
