/** The runner's side of GitHub Actions: hands out ID tokens of its job to whoever has the request token. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export const REQUEST_TOKEN = 'the-request-token-of-this-job'

export type ActionsRunner = {
  /** What the runner puts into a job's environment. */
  env: Record<string, string>
  /** Audiences asked for, in order. */
  audiences: string[]
  /** Answers this many requests with a 503 first. */
  failures: number
  /** While set, answers wait for it. */
  gate: Promise<void> | undefined
  close(): Promise<void>
}

export async function startActionsRunner(
  mint: (audience: string) => Promise<string>,
): Promise<ActionsRunner> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://runner')
    const audience = url.searchParams.get('audience') ?? ''
    const allowed = request.headers.authorization === `bearer ${REQUEST_TOKEN}`
    if (!allowed || url.searchParams.get('api-version') !== '2.0') return response.writeHead(401).end()
    if (runner.failures > 0) {
      runner.failures -= 1
      return response.writeHead(503).end()
    }
    runner.audiences.push(audience)
    await runner.gate
    const body = JSON.stringify({ count: 1, value: await mint(audience) })
    return response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const runner: ActionsRunner = {
    env: {
      GITHUB_ACTIONS: 'true',
      GITHUB_WORKFLOW: 'release',
      GITHUB_JOB: 'publish',
      GITHUB_RUN_ID: '4711',
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: REQUEST_TOKEN,
    },
    audiences: [],
    failures: 0,
    gate: undefined,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return runner
}
