/**
 * The identity provider of operators: node-oidc-provider with authorization code and PKCE, device flow,
 * `auth_time`, and `prompt=login` and `max_age` honoured by the library. Humans sign in by HTTP, without a
 * browser. Only the times in ID tokens are moved, where the clock of a test is not the machine's.
 */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type OidcContext } from 'oidc-provider'
import { freshNonce } from '../../../src/broker/people/operator-nonce.ts'
import { standingKey } from '../standing-key.ts'
import { createBrowser, type Human } from './human.ts'
import { formOf, signInPage } from './sign-in-page.ts'
import { createSigningKey, type SigningKey } from './signing-key.ts'

export const OPERATOR_CLIENT = 'mayfly-cli'
/** Where humans sign in for processes on their own machines. */
export const LAPTOP_CLIENT = 'mayfly-laptop'
const SCOPES = 'openid profile email groups'

export type Person = {
  /** The subject. */
  id: string
  name?: string
  email?: string
  groups?: readonly string[]
}

export type SignInOptions = {
  /** Hex digest of what is agreed to; the nonce is made of it. */
  boundTo?: string
  /** Instead of one that is made. */
  nonce?: string
  /** How long ago the human proved who they are. */
  authenticatedMsAgo?: number
  /** Laid over the claims of the ID token, which is signed again; `undefined` takes a claim out. */
  claims?: Record<string, unknown>
}

export type OperatorProvider = {
  /** `http://127.0.0.1:PORT` */
  issuer: string
  clientId: string
  /** Signs every ID token; for tokens that a test makes itself. */
  readonly key: SigningKey
  /** Epoch ms, of the times in tokens. */
  setClock(now: () => number): void
  /** Adds a human, or changes one: groups count from the next sign-in on. */
  addPerson(person: Person): void
  /** The whole authorization code flow with PKCE, with `prompt=login`. Each one is a new authentication. */
  signInAs(id: string, options?: SignInOptions): Promise<string>
  /** Who sits in front of a browser of their own, with its cookies. */
  human(id: string): Human
  /** What the next ID tokens of this human carry besides; undefined goes back. */
  setClaims(id: string, claims: Record<string, unknown> | undefined): void
  /** While down every request is answered 503. */
  setDown(down: boolean): void
  /** Whether ID tokens of the device flow carry the nonce of its request, which is in no standard. */
  setDeviceNonce(passes: boolean): void
  close(): Promise<void>
}

export async function startOperatorProvider(people: readonly Person[] = []): Promise<OperatorProvider> {
  const persons = new Map(people.map(person => [person.id, person]))
  const overrides = new Map<string, Record<string, unknown>>()
  const authenticated = new Map<string, number>()
  const key = createSigningKey('RS256', 'operators-1', { privateKey: standingKey('operator-provider') })
  let now: () => number = Date.now
  let down = false
  let passesDeviceNonce = false
  let handler: RequestListener = () => {}

  const server = createServer((request, response) => {
    if (down) return void response.writeHead(503).end()
    handler(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  /** Whole seconds are all that `auth_time` tells, and two sign-ins of one human are two moments. */
  function authenticate(id: string, msAgo = 0): number {
    if (msAgo > 0) return Math.floor((Date.now() - msAgo) / 1_000)
    const at = Math.max(Math.floor(Date.now() / 1_000), (authenticated.get(id) ?? 0) + 1)
    authenticated.set(id, at)
    return at
  }

  function resign(token: string, deviceNonce?: string): string {
    const { payload } = decode(token)
    if (deviceNonce !== undefined && passesDeviceNonce) payload.nonce = deviceNonce
    const aheadS = Math.round((now() - Date.now()) / 1_000)
    for (const name of ['iat', 'exp', 'auth_time']) {
      const at = payload[name]
      if (typeof at === 'number') payload[name] = at + aheadS
    }
    return encode(key, { ...payload, ...overrides.get(String(payload.sub)) })
  }

  const provider = createProvider({ issuer, key, persons, resign })
  const callback = provider.callback()
  const pages = createHumanPages(provider, persons, authenticate)
  handler = (request, response) => {
    if (request.url?.startsWith('/interaction/')) return void pages(request, response)
    callback(request, response)
  }

  const operators: OperatorProvider = {
    issuer,
    clientId: OPERATOR_CLIENT,
    key,
    setClock(clock) {
      now = clock
    },
    addPerson: person => void persons.set(person.id, person),
    human: id => createBrowser({ id, issuer }),
    setClaims(id, claims) {
      if (claims === undefined) overrides.delete(id)
      else overrides.set(id, claims)
    },
    async signInAs(id, { boundTo, nonce, authenticatedMsAgo, claims } = {}) {
      const chosen = nonce ?? (boundTo === undefined ? undefined : freshNonce(boundTo))
      const token = await createBrowser({ id, issuer, authenticatedMsAgo }).idToken({
        clientId: OPERATOR_CLIENT,
        scope: SCOPES,
        ...(chosen === undefined ? {} : { nonce: chosen }),
      })
      return claims === undefined ? token : encode(key, { ...decode(token).payload, ...claims })
    },
    setDown(value) {
      down = value
    },
    setDeviceNonce(passes) {
      passesDeviceNonce = passes
    },
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return operators
}

function createProvider({
  issuer,
  key,
  persons,
  resign,
}: {
  issuer: string
  key: SigningKey
  persons: ReadonlyMap<string, Person>
  resign: (token: string, deviceNonce?: string) => string
}): Provider {
  const provider = new Provider(issuer, {
    clients: [OPERATOR_CLIENT, LAPTOP_CLIENT].map(client_id => ({
      client_id,
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    })),
    findAccount: (_context: unknown, id: string) => {
      const person = persons.get(id)
      if (person === undefined) return undefined
      const { name = id, email = `${id}@acme.test`, groups = [] } = person
      return {
        accountId: id,
        claims: async () => ({
          ...{ sub: id, name, preferred_username: name, email, email_verified: true },
          groups: [...groups],
        }),
      }
    },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    // Every claim in the ID token, as most providers do that are set up for it.
    conformIdTokenClaims: false,
    scopes: SCOPES.split(' '),
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    cookies: { keys: ['of the test suite'] },
    jwks: { keys: [key.privateJwk] },
    adapter: createMemory(),
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      IdToken: 3_600,
      Session: 3_600,
      Grant: 3_600,
      Interaction: 600,
      DeviceCode: 600,
    },
    features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true, ...DEVICE_PAGES } },
  })
  provider.use(async (context: OidcContext, next: () => Promise<void>) => {
    await next()
    const { body, oidc } = context
    if (typeof body !== 'object' || body === null) return
    // Nobody here waits for five seconds.
    if (body.device_code !== undefined) body.interval = 1
    if (typeof body.id_token === 'string')
      body.id_token = resign(body.id_token, oidc?.entities?.DeviceCode?.params?.nonce)
  })
  return provider
}

/**
 * The page where a human says who they are: a POST with their id answers whatever the library asks for, a
 * password or a consent. A browser is shown the names.
 */
function createHumanPages(
  provider: Provider,
  persons: ReadonlyMap<string, Person>,
  authenticate: (id: string, msAgo?: number) => number,
): RequestListener {
  return async (request, response) => {
    try {
      const details = await provider.interactionDetails(request, response)
      if (request.method === 'GET') {
        const signedIn = persons.get(details.session?.accountId ?? '')
        const isConsent = details.prompt.name !== 'login' && signedIn !== undefined
        response.setHeader('content-type', 'text/html; charset=utf-8')
        return void response.end(signInPage(isConsent ? [signedIn] : persons.values()))
      }
      const form = await formOf(request)
      const id = form.get('human') ?? ''
      if (request.method !== 'POST' || !persons.has(id)) return void response.writeHead(403).end()
      if (details.prompt.name === 'login') {
        const ts = authenticate(id, Number(form.get('ago') ?? 0))
        const login = { accountId: id, ts, amr: ['pwd'] }
        return void (await provider.interactionFinished(request, response, { login }))
      }
      const grant = new provider.Grant({
        accountId: details.session?.accountId ?? id,
        clientId: String(details.params.client_id),
      })
      grant.addOIDCScope(SCOPES)
      const consent = { grantId: await grant.save() }
      await provider.interactionFinished(request, response, { consent })
    } catch {
      response.writeHead(400).end()
    }
  }
}

type Page = { body?: unknown }

/** In place of the library's own pages, which it says on the console that it uses. */
const DEVICE_PAGES = {
  userCodeInputSource: async (context: Page, form: string) => {
    context.body = `<!doctype html>${form}`
  },
  userCodeConfirmSource: async (context: Page, form: string) => {
    context.body = `<!doctype html>${form}`
  },
  successSource: async (context: Page) => {
    context.body = '<!doctype html><p>Signed in.'
  },
}

/** What the library keeps: sessions, interactions, codes and grants, each found by its id and two other names. */
function createMemory() {
  const kept = new Map<string, Record<string, unknown>>()
  return (model: string) => {
    const key = (id: string) => `${model}:${id}`
    const findBy = (name: string, value: string) =>
      [...kept].find(([id, one]) => id.startsWith(`${model}:`) && one[name] === value)?.[1]
    return {
      upsert: async (id: string, payload: Record<string, unknown>) => void kept.set(key(id), payload),
      find: async (id: string) => kept.get(key(id)),
      findByUid: async (uid: string) => findBy('uid', uid),
      findByUserCode: async (code: string) => findBy('userCode', code),
      consume: async (id: string) => {
        const one = kept.get(key(id))
        if (one !== undefined) one.consumed = Math.floor(Date.now() / 1_000)
      },
      destroy: async (id: string) => void kept.delete(key(id)),
      revokeByGrantId: async (grantId: string) => {
        for (const [id, one] of kept) if (one.grantId === grantId) kept.delete(id)
      },
    }
  }
}

function decode(token: string): { payload: Record<string, unknown> } {
  return { payload: JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) }
}

function encode(key: SigningKey, payload: Record<string, unknown>): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: key.algorithm, kid: key.kid, typ: 'JWT' })}.${part(payload)}`
  return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`
}
