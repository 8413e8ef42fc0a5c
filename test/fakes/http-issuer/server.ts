/** HTTP under the reference server: mutual TLS, one POST for each operation, and faults on demand. */
import { once } from 'node:events'
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecure } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ZodError } from 'zod'
import type { FaultHook } from '../faults.ts'
import type { HttpIssuerOptions } from './http-issuer.ts'

export type Answer = { status: number; body?: object; text?: string; headers?: Record<string, string> }
export type Operations = Readonly<
  Record<'issue' | 'revoke' | 'probe' | 'resolve', (body: unknown, userAgent: string) => Answer>
>

const MOST_BYTES = 65_536

export async function listen({
  tls,
  clients,
  faults,
  operations,
}: HttpIssuerOptions & { faults: FaultHook; operations: Operations }) {
  let requests = 0
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    requests += 1
    answer(request).then(
      found => (found === 'drop' ? request.socket.destroy() : send(response, found)),
      () => send(response, { status: 500 }),
    )
  }

  async function answer(request: IncomingMessage): Promise<Answer | 'drop'> {
    if (clients !== undefined && !clients.includes(clientOf(request))) return { status: 403 }
    const operation = /^\/v1\/(issue|revoke|probe|resolve)$/.exec(request.url ?? '')?.[1] as keyof Operations
    if (request.method !== 'POST' || operation === undefined) return { status: 404 }
    const call = { provider: 'http-issuer', operation }
    const before = await faults({ ...call, when: 'before' })
    if (before === 'drop') return 'drop'
    if (before !== 'ok') return said(before)
    const done = await run(operations[operation], request)
    const after = await faults({ ...call, when: 'after' })
    if (after === 'drop') return 'drop'
    return after === 'ok' ? done : said(after)
  }

  const server =
    tls === undefined
      ? createPlain(handler)
      : createSecure(
          {
            ...{ cert: tls.certificate, key: tls.key, ca: tls.clientAuthority },
            ...{ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
          },
          handler,
        )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests: () => requests,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function run(operation: Operations['issue'], request: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > MOST_BYTES) return { status: 413 }
    chunks.push(chunk as Buffer)
  }
  try {
    return operation(
      JSON.parse(Buffer.concat(chunks).toString('utf8')),
      String(request.headers['user-agent']),
    )
  } catch (error) {
    if (error instanceof ZodError || error instanceof SyntaxError) return { status: 400 }
    throw error
  }
}

function clientOf({ socket }: IncomingMessage): string {
  const subject = (socket as TLSSocket).getPeerX509Certificate?.()?.subject ?? ''
  return /^CN=(.+)$/.exec(subject)?.[1] ?? ''
}

function said({
  status,
  headers,
  body,
}: {
  status: number
  headers?: Record<string, string>
  body?: string
}) {
  return {
    status,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { text: body }),
  }
}

function send(response: ServerResponse, { status, body, text, headers }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(text ?? JSON.stringify(body ?? {}))
}
