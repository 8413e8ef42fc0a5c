/** The part of a SPIFFE platform that hands a workload its identity: here to whoever asks, by the path it wants. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type SvidServer = {
  /** `http://127.0.0.1:PORT`; a GET of `/agent/coder` answers a JWT-SVID for that path. */
  url: string
  close(): Promise<void>
}

export async function startSvidServer({ svid }: { svid: (path: string) => string }): Promise<SvidServer> {
  const server = createServer(({ method, url = '/' }, response) => {
    if (method !== 'GET' || !/^(\/[\w-]+)+$/.test(url)) return response.writeHead(404).end()
    return response.writeHead(200, { 'content-type': 'text/plain' }).end(`${svid(url)}\n`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
