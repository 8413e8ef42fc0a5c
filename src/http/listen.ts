import { constants } from 'node:crypto'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Limits } from '../limits.ts'
import type { Env } from './guard.ts'

/** PEM texts. */
export type Tls = { cert: string; key: string }

type Address = {
  host: string
  port: number
  /** `to come`: no handshake succeeds before {@link Listener.setTls}. */
  tls?: Tls | 'to come'
  /** Whether clients are asked for a certificate. Whose it is, and who vouches for it, is judged with each request. */
  asksForCertificates?: boolean
}

export type Listener = {
  /** `http://127.0.0.1:8420`, with the port that was really taken. */
  url: string
  /** Puts a new certificate in force for new connections. */
  setTls(tls: Tls): void
  /** Takes no new connection, lets requests in flight finish, and gives up on them after `limits.stopMs`. */
  close(): Promise<void>
}

/** The address cannot be listened on: an operator's to change, and no fault of the program. */
export class CannotListen extends Error {
  override name = 'CannotListen'
}

/** @throws Error where the two are not PEM, or do not belong together. */
export function checkTls(tls: Tls): void {
  createSecureContext({ ...tls, minVersion: 'TLSv1.3' })
}

/** @throws CannotListen */
export async function listen(
  app: Hono<Env>,
  { host, port, tls, asksForCertificates = false }: Address,
  limits: Limits,
): Promise<Listener> {
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.connectionsCheckMs,
  }
  const server = createAdaptorServer({
    fetch: app.fetch,
    ...(tls === undefined
      ? { createServer: createHttpServer, serverOptions: options }
      : {
          createServer: createHttpsServer,
          serverOptions: {
            ...options,
            ...contextOf(tls, asksForCertificates),
            // A client that has none, or one that nobody here knows, is not turned away before it is told why.
            ...(asksForCertificates ? { requestCert: true, rejectUnauthorized: false } : {}),
            handshakeTimeout: limits.headersTimeoutMs,
          },
        }),
  }) as Server | HttpsServer
  server.maxConnections = limits.connections
  // One more than allowed, so that the guard can tell too many from exactly enough.
  server.maxHeadersCount = limits.headerCount + 1
  const idle = trackIdle(server)
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => reject(cannotListen(`${host}:${port}`, cause)))
    server.listen(port, host, () => resolve())
  })
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    setTls: next => {
      if ('setSecureContext' in server) server.setSecureContext(contextOf(next, asksForCertificates))
    },
    close: () => close(server, idle, limits.stopMs),
  }
}

/**
 * Where a certificate says who the client is, no session is taken up again: each connection shows the key, and the
 * whole chain, which a resumed one would not have. Of TLS 1.3 alone, which cannot ask again later either.
 */
function contextOf(tls: Tls | 'to come', asksForCertificates: boolean) {
  const secureOptions = asksForCertificates ? constants.SSL_OP_NO_TICKET : undefined
  return {
    ...(tls === 'to come' ? {} : tls),
    minVersion: 'TLSv1.3',
    ...(secureOptions && { secureOptions }),
  } as const
}

function cannotListen(address: string, cause: NodeJS.ErrnoException): CannotListen {
  const why: Record<string, string> = {
    EADDRINUSE: 'another process listens there already',
    EACCES: 'this user may not listen there',
    EADDRNOTAVAIL: 'this machine has no such address',
  }
  const code = cause.code ?? 'unknown'
  return new CannotListen(`${address}: ${why[code] ?? 'it cannot be listened on'} (${code})`, { cause })
}

/** Connections without a request under way, those included that never sent one (Node does not count these as idle). */
function trackIdle(server: Server | HttpsServer): ReadonlySet<Socket> {
  const idle = new Set<Socket>()
  // With TLS a request's socket is the secured one.
  server.on('setSecureContext' in server ? 'secureConnection' : 'connection', (socket: Socket) => {
    idle.add(socket)
    socket.once('close', () => idle.delete(socket))
  })
  server.on('request', ({ socket }, response) => {
    idle.delete(socket)
    response.once('close', () => {
      if (!socket.destroyed) idle.add(socket)
    })
  })
  return idle
}

function close(server: Server | HttpsServer, idle: ReadonlySet<Socket>, patienceMs: number): Promise<void> {
  return new Promise(resolve => {
    const giveUp = setTimeout(() => server.closeAllConnections(), patienceMs)
    server.close(() => {
      clearTimeout(giveUp)
      resolve()
    })
    for (const socket of idle) socket.destroy()
  })
}
