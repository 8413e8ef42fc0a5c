/** The stand-in on a real socket. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve } from '@hono/node-server'
import { ConnectionDropped } from '../faults.ts'

/**
 * @param port 0 for any free one
 * @returns the base URL on 127.0.0.1, and how to stop: open connections are cut
 */
export async function listen(
  handle: (request: Request) => Promise<Response>,
  port: number,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = serve({
    hostname: '127.0.0.1',
    port,
    fetch: async (request: Request, env: unknown) => {
      try {
        return await handle(request)
      } catch (error) {
        if (!(error instanceof ConnectionDropped)) throw error
        ;(env as HttpBindings).incoming.socket.destroy()
        return new Response(null)
      }
    },
  })
  if (!server.listening) await once(server, 'listening')
  const { port: bound } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${bound}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close(error => (error ? reject(error) : resolve()))
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
