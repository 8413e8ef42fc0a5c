/** What a workload proves itself with. A source is asked once for each task that is opened. */
import { Secret } from '../../issuers/shared/secret.ts'
import { isPrivate } from './broker-origin.ts'
import { CLIENT_LIMITS } from './limits.ts'
import { MayflyError } from './mayfly-error.ts'
import { readCapped } from './read-capped.ts'
import { sleep, type World } from './world.ts'

export type EvidenceWanted = World & {
  /** The broker's origin: the audience where none is set. */
  broker: string
  signal?: AbortSignal
}

/** A JWT, or that the certificate of the connection is the evidence. */
export type Presented = string | { readonly type: 'client_certificate' }

export type EvidenceSource = (wanted: EvidenceWanted) => Presented | Promise<Presented>

/** A JWT (RFC 7519) of the workload's identity provider, or a JWT-SVID: any function that returns one. */
export type TokenSource = (wanted: EvidenceWanted) => string | Promise<string>

/**
 * An X.509-SVID, or another certificate that the broker knows: `fetch` is one that shows it, and `url` is where the
 * broker asks for certificates.
 */
export function fromClientCertificate(): EvidenceSource {
  return () => ({ type: 'client_certificate' })
}

/**
 * In a GitHub Actions job with `permissions: { id-token: write }`.
 *
 * @param env the job's environment. @param audience MAYFLY_AUDIENCE of it, or the broker's address, unless told
 */
export function fromGithubActions(
  env: Readonly<Record<string, string | undefined>>,
  { audience }: { audience?: string } = {},
): TokenSource {
  return wanted => {
    const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = env
    if (!url || !bearer)
      throw new MayflyError(
        'this job cannot prove what it is: it has no ID token to ask for.\n' +
          '  Give the job   permissions: { id-token: write }   in its workflow.',
        { code: 'evidence_missing' },
      )
    const expected = audience ?? (env.MAYFLY_AUDIENCE || wanted.broker)
    return askRunner(wanted, { url, bearer: new Secret(bearer), audience: expected })
  }
}

/** A file that somebody keeps fresh, a JWT-SVID for example: read anew for each task. */
export function fromFile(path: string, readFile: (path: string) => string | Promise<string>): TokenSource {
  return async () => {
    try {
      return await readFile(path)
    } catch (cause) {
      throw new MayflyError(`the evidence in ${path} cannot be read`, { code: 'evidence_unreadable', cause })
    }
  }
}

/**
 * GitHub's runner hands out ID tokens of its job (docs.github.com, "OpenID Connect reference"): GET, with the
 * audience as one more parameter of the URL it gave, answers `{ "value": "<jwt>" }`.
 *
 * @throws MayflyError `evidence_unavailable`, `evidence_malformed`
 */
export async function askRunner(
  world: Pick<World, 'fetch' | 'schedule'> & { signal?: AbortSignal },
  request: { url: string; bearer: Secret; audience: string },
): Promise<string> {
  const url = URL.parse(`${request.url}&audience=${encodeURIComponent(request.audience)}`)
  if (url === null || !isPrivate(url))
    throw new MayflyError('ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL', { code: 'evidence_unreadable' })
  for (let attempt = 1; ; attempt += 1) {
    const answer = await askOnce(world, url, request.bearer)
    if ('token' in answer) return jwtFrom(answer.token, "the runner's answer")
    world.signal?.throwIfAborted()
    if (attempt === CLIENT_LIMITS.attempts || !answer.again)
      throw new MayflyError(`the runner gave no ID token: ${answer.why}`, {
        code: 'evidence_unavailable',
        retryable: answer.again,
      })
    await sleep(world, CLIENT_LIMITS.backoffBaseMs * 2 ** attempt, world.signal)
  }
}

async function askOnce(
  { fetch, signal }: Pick<World, 'fetch'> & { signal?: AbortSignal },
  url: URL,
  bearer: Secret,
): Promise<{ token: string } | { why: string; again: boolean }> {
  const deadline = AbortSignal.timeout(CLIENT_LIMITS.oidcRequestMs)
  try {
    const response = await fetch(url, {
      redirect: 'error',
      signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
      headers: { accept: 'application/json', authorization: `bearer ${bearer.reveal()}` },
    })
    const text = await readCapped(response, CLIENT_LIMITS.oidcAnswerBytes)
    if (response.status !== 200)
      return { why: `status ${response.status}`, again: response.status >= 500 || response.status === 429 }
    const { value } = JSON.parse(text) as { value?: unknown }
    return typeof value === 'string' ? { token: value } : { why: 'its answer has no value', again: false }
  } catch (error) {
    // What JSON.parse says quotes the answer; only the kind of error is told.
    return {
      why: error instanceof SyntaxError ? 'its answer is not JSON' : 'it does not answer',
      again: true,
    }
  }
}

/** The compact form of a JWS (RFC 7515 section 3.1), white space around it dropped. @throws MayflyError */
export function jwtFrom(text: string, where: string): string {
  const token = text.trim()
  if (token.length <= CLIENT_LIMITS.evidenceBytes && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token
  throw new MayflyError(
    `${where} does not hold a JWT (three parts of base64url, at most ${CLIENT_LIMITS.evidenceBytes} bytes, and nothing else)`,
    { code: 'evidence_malformed' },
  )
}
