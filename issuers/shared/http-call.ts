/** One call to a remote issuer: JSON out, JSON in, over mutual TLS. Nothing is retried. */
import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { type IssuerDeps, ProviderUnavailable, type TlsIdentity } from '../issuer.ts'
import { beforeMint } from './before-mint.ts'

export type Operation = 'issue' | 'revoke' | 'probe' | 'resolve'

export type RemoteSettings = {
  url: string
  /** Absent on loopback over plain http. */
  tls?:
    | {
        certificate_file: string
        key_file: string
        ca_file?: string | undefined
        server_name?: string | undefined
      }
    | undefined
  timeout_seconds: number
  max_answer_kibibytes: number
}

export type Remote = {
  /** Reads the certificate and key, which may be replaced in place. @throws ProviderUnavailable */
  connect(): Promise<Connected>
}

export type Connected = {
  /** @param lease joins the user agent. @throws ProviderUnavailable */
  call<Answer>(
    operation: Operation,
    lease: string | undefined,
    body: object,
    answer: z.ZodType<Answer>,
  ): Promise<Answer>
}

export function remoteIssuer(settings: RemoteSettings, deps: IssuerDeps): Remote {
  const { tls } = settings
  const limits = {
    deadlineMs: settings.timeout_seconds * 1_000,
    maxBodyBytes: settings.max_answer_kibibytes * 1_024,
  }
  // The connections of the certificate in force; of the earlier one, those under way are let finish.
  let open: { digest: string; fetch: typeof fetch; close(): void } | undefined

  async function identity(files: NonNullable<RemoteSettings['tls']>): Promise<TlsIdentity> {
    const read = async (path: string | undefined) =>
      path === undefined ? undefined : await deps.readSecretFile(path)
    const [certificate, key, ca] = await Promise.all(
      [files.certificate_file, files.key_file, files.ca_file].map(read),
    )
    if (certificate === undefined || key === undefined) throw new Error('there is no certificate, or no key')
    return {
      certificate: certificate.reveal(),
      key,
      ...(ca === undefined ? {} : { ca: ca.reveal() }),
      ...(files.server_name === undefined ? {} : { serverName: files.server_name }),
    }
  }

  async function reach(): Promise<typeof fetch> {
    if (tls === undefined) return deps.fetch
    if (deps.mutualTls === undefined) throw new Error('this host offers no mutual TLS')
    const now = await identity(tls)
    const whole = JSON.stringify([now.certificate, now.key.reveal(), now.ca])
    const digest = createHash('sha256').update(whole).digest('hex')
    if (open?.digest === digest) return open.fetch
    open?.close()
    const opened = deps.mutualTls(now, limits)
    open = { digest, ...opened }
    return opened.fetch
  }

  return {
    async connect() {
      const send = await beforeMint(reach)
      return {
        call: async (operation, lease, body, answer) =>
          read(operation, await post(send, operation, lease, body), answer),
      }
    },
  }

  async function post(
    send: typeof fetch,
    operation: Operation,
    lease: string | undefined,
    body: object,
  ): Promise<{ text: string }> {
    const name = deps.name ?? 'the remote issuer'
    let response: Response
    let text: string
    try {
      response = await send(`${settings.url}/v1/${operation}`, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          'user-agent': lease === undefined ? deps.userAgent : `${deps.userAgent} ${lease}`,
          ...(changes(operation) ? { 'idempotency-key': `${operation}/${lease}` } : {}),
        },
        body: JSON.stringify(body),
      })
      text = await response.text()
    } catch (cause) {
      throw new ProviderUnavailable(`${name} gave no answer to ${operation}`, {
        nothingMinted: (cause as { neverSent?: unknown }).neverSent === true,
        cause,
      })
    }
    if (response.status !== 200)
      throw new ProviderUnavailable(`${name} answered ${response.status} to ${operation}`, {
        retryAfterMs: retryAfter(response.headers.get('retry-after')),
      })
    if (!/^application\/json\s*(?:;|$)/i.test(response.headers.get('content-type') ?? ''))
      throw new ProviderUnavailable(`${name} answered ${operation} with something that is no JSON`)
    if (text.length > limits.maxBodyBytes)
      throw new ProviderUnavailable(`${name} answered ${operation} with too much`)
    return { text }
  }

  /** The answer may hold a secret: nothing of it goes into an error, its cause included. */
  function read<Answer>(operation: Operation, { text }: { text: string }, answer: z.ZodType<Answer>): Answer {
    const parsed = answer.safeParse(json(text))
    if (parsed.success) return parsed.data
    const name = deps.name ?? 'the remote issuer'
    const where = [
      ...new Set(parsed.error.issues.map(({ path }) => path.filter(isField).join('.') || 'as a whole')),
    ]
    throw new ProviderUnavailable(
      `${name} answered ${operation} not as agreed: ${where.slice(0, 5).join(', ')}`,
    )
  }
}

/** What must not be done twice because some layer sent it twice. */
const changes = (operation: Operation) => operation === 'issue' || operation === 'revoke'

const KNOWN = new Set(
  'outcome secret granted expires_at details reason detail retry_after_seconds proof look_again_seconds ask'.split(
    ' ',
  ),
)
/** Names of our own only: what the other side made up may be anything. */
const isField = (part: PropertyKey) => typeof part === 'string' && KNOWN.has(part)

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Seconds (RFC 9110 section 10.2.3); a date is not read. */
function retryAfter(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined
}
