/**
 * An issuer's web server that can turn hostile or fall ill: discovery and a key set on a loopback port, with
 * the answer of each path chosen by the test.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export const DISCOVERY = '/.well-known/openid-configuration'
export const KEYS = '/keys'

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

export type KeyServer = {
  /** `http://127.0.0.1:PORT` */
  issuer: string
  /** The key set that is served while nothing else is chosen. */
  keySet: unknown
  /** Answers a path (or every path) so from now on; undefined goes back to serving. */
  answer(path: string, answer: Answer | undefined): void
  /** Every request so far, as its path. */
  readonly requests: string[]
  /** Connections that are open now. */
  openConnections(): Promise<number>
  close(): Promise<void>
}

export async function startKeyServer(keySet: unknown): Promise<KeyServer> {
  const answers = new Map<string, Answer>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    keyServer.requests.push(path)
    const answer = answers.get(path) ?? answers.get('*')
    if (answer !== undefined) return answer(response, request)
    if (path === DISCOVERY) return json(discoveryOf(keyServer.issuer))(response, request)
    if (path === KEYS) return json(keyServer.keySet)(response, request)
    return status(404)(response, request)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const keyServer: KeyServer = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keySet,
    requests: [],
    answer(path, answer) {
      if (answer === undefined) answers.delete(path)
      else answers.set(path, answer)
    },
    openConnections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return keyServer
}

export function discoveryOf(issuer: string, overrides: Record<string, unknown> = {}) {
  return { issuer, jwks_uri: `${issuer}${KEYS}`, ...overrides }
}

export function json(body: unknown): Answer {
  return text(JSON.stringify(body))
}

export function text(body: string): Answer {
  return response => response.writeHead(200, { 'content-type': 'application/json' }).end(body)
}

export function status(code: number): Answer {
  return response => response.writeHead(code).end()
}

export function redirect(location: string): Answer {
  return response => response.writeHead(302, { location }).end()
}

/** Accepts the request and never says anything. */
export const hang: Answer = () => {}

/** Headers at once, then one byte at a time, for ever. */
export const trickle: Answer = response => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('{')
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}

/** As fast as the reader takes it: `totalBytes`, or without end. `onSent` is told the sum so far. */
export function flood(totalBytes = Number.POSITIVE_INFINITY, onSent?: (bytes: number) => void): Answer {
  const chunk = Buffer.alloc(64 * 1024, ' ')
  return response => {
    response.writeHead(200, { 'content-type': 'application/json' })
    let sent = 0
    const more = () => {
      while (sent < totalBytes && !response.destroyed) {
        sent += chunk.length
        onSent?.(sent)
        if (!response.write(chunk)) return response.once('drain', more)
      }
      return response.end()
    }
    more()
  }
}

/** A small body that unfolds to `bytes` of white space. */
export function gzipBomb(bytes: number): Answer {
  const packed = gzipSync(Buffer.alloc(bytes, ' '))
  return response => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(packed)
  }
}
