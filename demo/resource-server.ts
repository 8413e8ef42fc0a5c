/**
 * An API that lets callers in by Mayfly's JWTs, as a team would write one. It asks Mayfly about every token it
 * is shown (RFC 7662), and that is why a token dies here the moment its task ends.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from './timeline.ts'

export type ResourceServer = {
  /** Lists orders: needs the scope `orders.read`. */
  list(token: string): Promise<Answer>
  /** Places an order: needs the scope `orders.write`. */
  place(token: string): Promise<Answer>
  close(): Promise<void>
}

/** @param options.id and `secret`: how it introduces itself to Mayfly, which tells it of its own audience only. */
export async function startResourceServer(options: {
  name: string
  mayflyUrl: string
  id: string
  secret: string
}): Promise<ResourceServer> {
  const server = createServer((request, response) => {
    judge(request).then(
      status => response.writeHead(status).end(),
      () => response.writeHead(500).end(),
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`

  async function judge({ headers, method }: IncomingMessage): Promise<number> {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
    const told = await introspect(options, token)
    if (!told.active) return 401
    const needed = method === 'GET' ? 'orders.read' : 'orders.write'
    return told.scope?.split(' ').includes(needed) ? 200 : 403
  }

  async function call(token: string, method: string): Promise<Answer> {
    const { status, statusText } = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } })
    return { from: options.name, status, words: statusText }
  }

  return {
    list: token => call(token, 'GET'),
    place: token => call(token, 'POST'),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

type Introspection = { active: boolean; scope?: string }

async function introspect(
  { mayflyUrl, id, secret }: { mayflyUrl: string; id: string; secret: string },
  token: string,
): Promise<Introspection> {
  const response = await fetch(`${mayflyUrl}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ token }),
  })
  if (!response.ok) throw new Error(`introspection answered ${response.status}`)
  return (await response.json()) as Introspection
}
