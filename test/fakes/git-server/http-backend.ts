/** One request to `git http-backend` (CGI, RFC 3875); its answer is small and goes out whole. */
import { spawn } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'

export type BackendCall = {
  /** The folder of bare repositories. */
  root: string
  /** Below it, with the service. */
  path: string
  query: string
  user: string
}

export async function runBackend(
  request: IncomingMessage,
  response: ServerResponse,
  { root, path, query, user }: BackendCall,
): Promise<void> {
  const { headers } = request
  const child = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH ?? '',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: path,
      QUERY_STRING: query,
      // Its presence is what allows pushes.
      REMOTE_USER: user,
      CONTENT_TYPE: headers['content-type'] ?? '',
      ...(headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: headers['content-length'] }),
      ...(headers['content-encoding'] === undefined
        ? {}
        : { HTTP_CONTENT_ENCODING: String(headers['content-encoding']) }),
      ...(headers['git-protocol'] === undefined ? {} : { GIT_PROTOCOL: String(headers['git-protocol']) }),
    },
  })
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  const chunks: Buffer[] = []
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk)
  const whole = Buffer.concat(chunks)
  const at = whole.indexOf('\r\n\r\n')
  const head = whole.subarray(0, Math.max(0, at)).toString('latin1')
  const fields = head
    .split('\r\n')
    .map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const)
  const status = fields.find(([name]) => name.toLowerCase() === 'status')?.[1]
  response.writeHead(
    at < 0 ? 500 : Number.parseInt(status ?? '200', 10),
    Object.fromEntries(fields.filter(([name]) => name !== '' && name.toLowerCase() !== 'status')),
  )
  response.end(whole.subarray(at + 4))
}
