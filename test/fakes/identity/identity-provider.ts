/**
 * A conformant OpenID Connect issuer on a loopback port: node-oidc-provider, made to put any claims into the
 * tokens it signs. Discovery, key set, token endpoint and signatures are the library's own.
 */
import { type KeyObject, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type JwtParts, type TokenContext } from 'oidc-provider'
import { type Algorithm, fitsAlgorithm } from '../../../attestors/shared/algorithms.ts'
import type { FaultHook } from '../faults.ts'
import { type Claims, githubClaims } from './github-claims.ts'
import { createSigningKey, type SigningKey } from './signing-key.ts'

const ALGORITHMS: readonly Algorithm[] = ['RS256', 'ES256', 'EdDSA']
const RESOURCE = 'urn:mayfly:test'
const CLIENT = { client_id: 'workload', client_secret: 'a secret of the test suite' }
const LIFETIME_S = 300

export type MintOptions = { algorithm?: Algorithm; header?: Record<string, unknown> }

export type IdentityProvider = {
  /** `http://127.0.0.1:PORT` */
  issuer: string
  /** The audience in tokens that do not name one. */
  audience: string
  /**
   * Any claims, laid over iss, aud, iat, nbf, exp (300 s) and jti. An `undefined` takes a claim out. Asked
   * for at the token endpoint, like a workload would, and signed there.
   */
  mintToken(claims: Claims, options?: MintOptions): Promise<string>
  /** {@link mintToken} over the claims of an ordinary GitHub Actions job. */
  mint(claims?: Claims, options?: MintOptions): Promise<string>
  /** New keys, other kids; `keepOld` lists the old ones beside them. */
  rotate(options?: { keepOld?: boolean }): void
  /** While down every request is answered 503; minting still works. */
  setDown(down: boolean): void
  /** Asked before discovery and key set are answered; the operation is the path. Replaceable at run time. */
  faults: FaultHook
  /** Paths of discovery and key set requests so far. */
  readonly requests: readonly string[]
  close(): Promise<void>
}

export type IdentityProviderOptions = {
  /** Epoch milliseconds, for the times in tokens. */
  now?: () => number
  /** For `jti`. */
  newId?: () => string
  audience?: string
  /** The first RSA key, where it need not be fresh. */
  privateKey?: KeyObject
  /** What it can sign with, RS256 among them; each has a key of its own kid, and RSA ones are one key. */
  algorithms?: readonly Algorithm[]
}

export async function startIdentityProvider(
  options: IdentityProviderOptions = {},
): Promise<IdentityProvider> {
  const { now = Date.now, newId = randomUUID, audience = 'https://mayfly.test' } = options
  const { privateKey, algorithms = ALGORITHMS } = options
  const wanted = new Map<string, { claims: Claims; options: MintOptions }>()
  const requests: string[] = []
  let down = false
  let generation = 0
  let keys: SigningKey[] = []
  let handler: RequestListener

  const server = createServer((request, response) => {
    const path = request.url ?? ''
    if (path.startsWith('/token')) return handler(request, response)
    requests.push(path)
    if (down) return response.writeHead(503).end()
    return void answerPublic(path, request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function answerPublic(path: string, request: IncomingMessage, response: ServerResponse) {
    const fault = await provider.faults({ provider: 'identity', operation: path, when: 'before' })
    if (fault === 'ok') return handler(request, response)
    if (fault === 'drop') return response.destroy()
    return response.writeHead(fault.status, fault.headers).end(fault.body)
  }

  function customize(context: TokenContext, _token: unknown, parts: JwtParts): void {
    const mint = wanted.get(context.oidc.body.mint ?? '')
    if (mint === undefined) throw new Error('tokens of this provider are asked for by mint()')
    const iat = Math.floor(now() / 1000)
    parts.header = { typ: 'JWT', ...mint.options.header }
    parts.payload = {
      ...{ iss: issuer, aud: audience, sub: 'workload', jti: newId() },
      ...{ iat, nbf: iat, exp: iat + LIFETIME_S },
      ...mint.claims,
    }
  }

  function rotate({ keepOld = false } = {}): void {
    generation += 1
    let rsa = generation === 1 ? privateKey : undefined
    const fresh = algorithms.map(algorithm => {
      const kid = `${algorithm}-${generation}`
      if (!fitsAlgorithm({ kty: 'RSA' }, algorithm)) return createSigningKey(algorithm, kid)
      const key = createSigningKey(algorithm, kid, rsa && { privateKey: rsa })
      rsa = key.privateKey
      return key
    })
    keys = keepOld ? [...fresh, ...keys] : fresh
    handler = createHandler(issuer, keys, customize, mint => wanted.get(mint)?.options.algorithm)
  }

  async function mintToken(claims: Claims, mintOptions: MintOptions = {}): Promise<string> {
    const mint = newId()
    wanted.set(mint, { claims, options: mintOptions })
    const form = { grant_type: 'client_credentials', resource: RESOURCE, mint, ...CLIENT }
    const answer = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) })
    wanted.delete(mint)
    const body = (await answer.json()) as { access_token?: string; error?: string }
    if (body.access_token === undefined) throw new Error(`the identity provider answered ${body.error}`)
    return body.access_token
  }

  rotate()
  const provider: IdentityProvider = {
    issuer,
    audience,
    faults: () => 'ok',
    mintToken,
    mint: (claims, mintOptions) => mintToken(githubClaims(claims), mintOptions),
    rotate,
    setDown(value) {
      down = value
    },
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return provider
}

type Customize = (context: TokenContext, token: unknown, parts: JwtParts) => void

function createHandler(
  issuer: string,
  keys: readonly SigningKey[],
  customize: Customize,
  algorithmOf: (mint: string) => string | undefined,
): RequestListener {
  const provider = new Provider(issuer, {
    clients: [
      {
        ...CLIENT,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    adapter: NothingKept,
    ttl: { ClientCredentials: LIFETIME_S },
    cookies: { keys: ['of the test suite'] },
    jwks: { keys: keys.map(({ privateJwk }) => privateJwk) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (context: TokenContext) => ({
          scope: '',
          audience: RESOURCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: LIFETIME_S,
          jwt: { sign: { alg: algorithmOf(context.oidc.body.mint ?? '') ?? 'RS256' } },
        }),
      },
    },
    formats: { customizers: { jwt: customize } },
  })
  return provider.callback()
}

/** Tokens of this provider carry everything: nothing has to be found again. Clients come from the configuration. */
class NothingKept {
  async upsert(): Promise<void> {}
  async find(): Promise<undefined> {}
  async destroy(): Promise<void> {}
}
