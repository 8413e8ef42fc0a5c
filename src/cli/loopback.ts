/** The end of a redirect on this machine (RFC 8252 section 7.3): one path, one answer, and nothing in the page. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CommandError, EXIT, errorCode, type Terminal } from './terminal.ts'

export type Loopback = {
  redirectUri: string
  /** The redirect that carries our `state`; others are turned away. @throws CommandError after `withinMs`, or on the signal */
  answer(withinMs: number, signal?: AbortSignal): Promise<URL>
  close(): Promise<void>
}

export const GIVEN_UP = 'the sign-in was given up'

const PATH = '/callback'
const PAGE =
  '<!doctype html><title>Mayfly</title><p>You can close this window and go back to the command line.'
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
}

/** @param ports tried in order; any free one where there are none. @throws CommandError where none is free */
export async function openLoopback(
  { schedule }: Pick<Terminal, 'schedule'>,
  { ports, state }: { ports: readonly number[]; state: string },
): Promise<Loopback> {
  const { promise: arrived, resolve } = Promise.withResolvers<URL>()
  let origin = ''
  const server = createServer((request, response) => {
    const url = answerOf(request, origin, state)
    // Answered first: the listener closes on the rest.
    finish(response, url === undefined ? 400 : 200, () => url !== undefined && resolve(url))
  })
  origin = `http://127.0.0.1:${await listenOn(server, ports.length === 0 ? [0] : ports)}`
  return {
    redirectUri: origin + PATH,
    async answer(withinMs, signal) {
      const { promise: late, reject } = Promise.withResolvers<never>()
      const cancel = schedule(withinMs, () =>
        reject(new CommandError('nobody signed in, and the time for it is over', { exitCode: EXIT.denied })),
      )
      const giveUp = () => reject(new CommandError(GIVEN_UP))
      if (signal?.aborted === true) giveUp()
      signal?.addEventListener('abort', giveUp, { once: true })
      try {
        return await Promise.race([arrived, late])
      } finally {
        cancel()
        signal?.removeEventListener('abort', giveUp)
      }
    },
    async close() {
      const closed = new Promise<void>(done => server.close(() => done()))
      // Browsers open some that they never use.
      server.closeAllConnections()
      await closed
    },
  }
}

/** A page of another origin may send a browser here, and a name may be made to point here: neither counts. */
function answerOf(request: IncomingMessage, origin: string, state: string): URL | undefined {
  const url = URL.parse(request.url ?? '', origin)
  if (request.method !== 'GET' || url?.pathname !== PATH) return undefined
  if (`http://${request.headers.host}` !== origin) return undefined
  return url.searchParams.get('state') === state ? url : undefined
}

function finish(response: ServerResponse, status: number, sent: () => void): void {
  response.writeHead(status, HEADERS).end(status === 200 ? PAGE : '', sent)
}

async function listenOn(server: Server, ports: readonly number[]): Promise<number> {
  let cause: unknown
  for (const port of ports) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, '127.0.0.1', () => {
          server.off('error', reject)
          resolve()
        })
      })
      return (server.address() as AddressInfo).port
    } catch (error) {
      cause = error
    }
  }
  throw new CommandError(`no port of 127.0.0.1 is free for the sign-in (${errorCode(cause)})`, { cause })
}
