/**
 * GitHub's REST API as the broker needs it: one request, one answer. An answer of any status is a value;
 * no answer is a throw. Nothing is retried, cached or followed.
 */
import { createPrivateKey } from 'node:crypto'
import { createAppAuth } from '@octokit/auth-app'
import { request } from '@octokit/request'
import { SignJWT } from 'jose'
import { type IssuerDeps, ProviderUnavailable, type Refused } from '../issuer.ts'
import { beforeMint } from './before-mint.ts'

export type GithubApp = { appId: number | string; privateKeyFile: string; apiUrl: string }

export type Answer = {
  status: number
  data: unknown
  /** GitHub's own sentence, cut and without anything token-shaped. */
  message: string
  /** Present where GitHub said that the limit is reached: how long to wait, ms. */
  rateLimited?: number
  /** What is left of the caller's calls, and when (epoch ms) they are all there again. */
  quota?: { limit: number; remaining: number; resetsAt: number }
}

export interface GithubRest {
  /** Signed as the App. `notAfter`: epoch ms from which GitHub refuses the call. `handle` joins the user agent. */
  asApp(route: string, parameters: object, notAfter: number, handle?: string): Promise<Answer>
  /** Sent with an installation token. */
  asToken(route: string, parameters: object, token: string, handle: string): Promise<Answer>
}

const API_VERSION = '2022-11-28'
/** GitHub allows ten minutes from `exp` to its own now; one is left for clocks that differ. */
const APP_JWT_LONGEST_MS = 9 * 60_000
/** GitHub advises `iat` a minute back, for the same reason. */
const APP_JWT_BACKDATED_S = 60
/** Asked for when GitHub limits us and does not say for how long. */
const RATE_LIMIT_WAIT_MS = 60_000

type Headers = Readonly<Record<string, string | number | undefined>>

/** What is read of Octokit's RequestError: `response` where GitHub answered, else the network's own `cause`. */
type RequestFailure = {
  response?: { status: number; data: unknown; headers: Headers }
  cause?: { code?: unknown }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** @throws ProviderUnavailable from its calls, where no answer came. */
export function githubRest(app: GithubApp, deps: IssuerDeps): GithubRest {
  const send = async (
    route: string,
    parameters: object,
    authorization: string,
    handle?: string,
  ): Promise<Answer> => {
    const call = request(route, {
      ...parameters,
      baseUrl: app.apiUrl,
      headers: {
        authorization,
        accept: 'application/vnd.github+json',
        'user-agent': handle ? `${deps.userAgent} ${handle}` : deps.userAgent,
        'x-github-api-version': API_VERSION,
      },
      request: { fetch: deps.fetch, log: SILENT, redirect: 'manual' },
    })
    try {
      const { status, data, headers } = await call
      return answerOf(status, data, headers, deps.now())
    } catch (error) {
      const { response, cause } = error as RequestFailure
      if (response) return answerOf(response.status, response.data, response.headers, deps.now())
      // GitHub redirects from a repository's former name; the host's fetch follows nowhere, and says so.
      if (cause?.code === 'redirect_refused') return answerOf(301, undefined, {}, deps.now())
      // Only the cause goes on: the error itself carries the request, and the request a credential.
      throw new ProviderUnavailable(`GitHub gave no answer to ${route}`, { cause })
    }
  }

  return {
    async asApp(route, parameters, notAfter, handle) {
      const jwt = await beforeMint(() => appJwt(app, deps, notAfter))
      return send(route, parameters, `bearer ${jwt}`, handle)
    },
    asToken: (route, parameters, token, handle) => send(route, parameters, `token ${token}`, handle),
  }
}

/**
 * What a definite answer below 500 that is not the hoped-for one means to the asker: nothing was done.
 * @throws ProviderUnavailable for the rest.
 */
export function refusalFrom(answer: Answer, what: string): Refused {
  const said = answer.message ? `: ${answer.message}` : ''
  if (answer.rateLimited !== undefined) {
    const detail = `GitHub's rate limit is reached for ${what}`
    return { ok: false, reason: 'rate_limited', detail, retryAfterMs: answer.rateLimited }
  }
  switch (answer.status) {
    case 400:
    case 422:
      return { ok: false, reason: 'rejected', detail: `GitHub does not accept ${what}${said}` }
    case 401: {
      const hint = 'check the App id, its private key and the clock'
      return {
        ok: false,
        reason: 'rejected',
        detail: `GitHub refused the App's own sign-in (${hint})${said}`,
        ofTheBroker: true,
      }
    }
    case 403:
      return { ok: false, reason: 'not_permitted', detail: `GitHub does not permit ${what}${said}` }
    case 404:
    case 410:
      return { ok: false, reason: 'not_found', detail: `GitHub does not know ${what}${said}` }
    default:
      throw unavailable(answer, what)
  }
}

export function unavailable(answer: Answer, what: string): ProviderUnavailable {
  const message = `GitHub answered ${answer.status} for ${what}`
  return new ProviderUnavailable(message, { retryAfterMs: answer.rateLimited })
}

/** Signed anew for every call, and never to be accepted after `notAfter`. */
async function appJwt(app: GithubApp, deps: IssuerDeps, notAfter: number): Promise<string> {
  const createJwt = async (appId: number | string) => {
    const now = deps.now()
    const exp = Math.floor(Math.min(notAfter, now + APP_JWT_LONGEST_MS) / 1000)
    const pem = (await deps.readSecretFile(app.privateKeyFile)).reveal()
    const jwt = await new SignJWT({ iss: String(appId) })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuedAt(Math.floor(now / 1000) - APP_JWT_BACKDATED_S)
      .setExpirationTime(exp)
      .sign(privateKey(pem, app.privateKeyFile))
    return { jwt, expiresAt: new Date(exp * 1000).toISOString() }
  }
  const auth = createAppAuth({ appId: app.appId, createJwt, log: SILENT })
  return (await auth({ type: 'app' })).token
}

/** PKCS#1, as GitHub hands it out, or PKCS#8. The parser's own message may quote the key, so it is dropped. */
function privateKey(pem: string, file: string) {
  try {
    return createPrivateKey(pem)
  } catch {
    throw new Error(`${file} is not a private key in PEM form`)
  }
}

function answerOf(status: number, data: unknown, headers: Headers, now: number): Answer {
  const message = sentenceOf(data)
  const limited =
    status === 429 ||
    (status === 403 &&
      (headers['retry-after'] !== undefined ||
        String(headers['x-ratelimit-remaining']) === '0' ||
        /rate limit/i.test(message)))
  const quota = quotaOf(headers)
  return {
    status,
    data,
    message,
    ...(limited && { rateLimited: waitOf(headers, now) }),
    ...(quota && { quota }),
  }
}

/** `x-ratelimit-*`, where GitHub sent all three. */
function quotaOf(headers: Headers): Answer['quota'] {
  const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map(name =>
    Number(headers[`x-ratelimit-${name}`] ?? Number.NaN),
  )
  const known = [limit, remaining, reset].every(figure => Number.isFinite(figure))
  return known ? { limit: limit!, remaining: remaining!, resetsAt: reset! * 1000 } : undefined
}

/** `retry-after` in seconds, else `x-ratelimit-reset` in epoch seconds, else a minute. */
function waitOf(headers: Headers, now: number): number {
  const seconds = Number(headers['retry-after'])
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000
  const reset = Number(headers['x-ratelimit-reset']) * 1000
  if (Number.isFinite(reset) && reset > now) return reset - now
  return RATE_LIMIT_WAIT_MS
}

function sentenceOf(data: unknown): string {
  const message = typeof data === 'object' && data !== null && 'message' in data ? data.message : undefined
  if (typeof message !== 'string') return ''
  return message
    .replace(/gh[a-z]_[A-Za-z0-9._-]{16,}|eyJ[A-Za-z0-9._-]{16,}/g, '[secret]')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 200)
}
