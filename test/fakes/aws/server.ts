/** The AWS stand-in on a loopback socket. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConnectionDropped } from '../faults.ts'
import { type Aws, type AwsOptions, createAws } from './aws.ts'

export type AwsServer = Aws & { url: string; close(): Promise<void> }

/** `port` 0 (any free one) unless told. A dropped connection is destroyed without an answer. */
export async function startAws(options: AwsOptions & { port?: number }): Promise<AwsServer> {
  const aws = createAws(options)
  const server = createServer((incoming, outgoing) => {
    exchange(aws, incoming, outgoing).catch(error => {
      if (error instanceof ConnectionDropped) return outgoing.destroy()
      // A fault of the stand-in itself: said in full, so that the test that meets it shows it.
      outgoing.writeHead(500).end(String(error instanceof Error ? error.stack : error))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  // Not a copy: the settable parts of the stand-in are accessors and must stay so.
  return Object.assign(aws, { url: `http://127.0.0.1:${port}`, close })
}

async function exchange(aws: Aws, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, [value].flat().join(','))
  const method = incoming.method ?? 'GET'
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const url = `http://${incoming.headers.host ?? '127.0.0.1'}${incoming.url ?? '/'}`
  const body = hasBody ? { body: Buffer.concat(chunks) } : {}
  const response = await aws.handle(new Request(url, { method, headers, ...body }))
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(Buffer.from(await response.arrayBuffer()))
}
