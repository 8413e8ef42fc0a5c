/** An API server of Kubernetes, as far as attestors ask it: its key set and TokenReview, over TLS by its own authority. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { AttestorDeps } from '../../../attestors/attestor.ts'
import { createOutbound } from '../../../src/outbound.ts'

export type Cluster = {
  /** `https://issuer.test:PORT`, the name in its certificate. */
  url: string
  /** A way out that resolves that name to this server. */
  fetch: AttestorDeps['fetch']
  /** What the broker's host has: `ca.crt` and `token`. */
  files: Record<string, string>
  readonly seen: { path: string; authorization: string | undefined }[]
  /** Answers reviews so from now on; undefined: whoever is named in the token is known. */
  answerReviews(status: number | undefined, body?: object): void
  close(): Promise<void>
}

const pem = (name: string) => readFileSync(new URL(`./tls/${name}`, import.meta.url), 'utf8')

export async function startCluster(keySet: object): Promise<Cluster> {
  let answer: { status: number; body: object } | undefined
  const seen: Cluster['seen'] = []
  const server = createServer({ cert: pem('cert.pem'), key: pem('key.pem') }, async (request, response) => {
    const { authorization } = request.headers
    seen.push({ path: request.url ?? '', authorization })
    if (authorization !== 'Bearer a token of the broker') return response.writeHead(401).end()
    if (request.url === '/openid/v1/jwks') return response.end(JSON.stringify(keySet))
    const review = JSON.parse(Buffer.concat(await request.toArray()).toString())
    const { status, body } = answer ?? { status: 201, body: { status: known(review.spec) } }
    return response.writeHead(status).end(JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const outbounds: ReturnType<typeof createOutbound>[] = []
  return {
    url: `https://issuer.test:${(server.address() as AddressInfo).port}`,
    async fetch(url, { ca, ...how } = {}) {
      const lookup = async () => [{ address: '127.0.0.1', family: 4 } as const]
      const outbound = createOutbound({ allowLoopback: true, lookup, ...(ca === undefined ? {} : { ca }) })
      outbounds.push(outbound)
      return outbound.fetch(url, how)
    },
    files: { 'ca.crt': pem('cert.pem'), token: 'a token of the broker\n' },
    seen,
    answerReviews(status, body = {}) {
      answer = status === undefined ? undefined : { status, body }
    },
    async close() {
      for (const outbound of outbounds) await outbound.close()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function known({ token, audiences }: { token: string; audiences: string[] }) {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const uid = claims['kubernetes.io'].serviceaccount.uid
  return { authenticated: true, audiences, user: { username: claims.sub, uid } }
}
