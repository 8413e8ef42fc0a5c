/**
 * The part of a GitHub Actions runner that a job proves itself with: the endpoint behind
 * `ACTIONS_ID_TOKEN_REQUEST_URL`, which gives the job ID tokens for the audience it names.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Installation } from './installation.ts'

export type Runner = {
  /** What the job's environment holds: the two request variables, and `GITHUB_ACTIONS`. */
  env: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** @param claims laid over those of an ordinary job of acme/api on main. */
export async function startRunner(
  installation: Pick<Installation, 'jobToken'>,
  claims: Record<string, unknown> = {},
): Promise<Runner> {
  const bearer = randomBytes(24).toString('base64url')
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://runner')
    const authorized =
      /^bearer /i.test(request.headers.authorization ?? '') &&
      request.headers.authorization?.slice(7) === bearer
    if (pathname !== '/idtoken' || !authorized) return response.writeHead(authorized ? 404 : 401).end()
    // Without an audience GitHub fills in the owner's URL.
    const aud = searchParams.get('audience') ?? 'https://github.com/acme'
    const value = await installation.jobToken({ aud, ...claims })
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ value }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    env: {
      GITHUB_ACTIONS: 'true',
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/idtoken?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer,
    },
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
