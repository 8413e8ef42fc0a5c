/**
 * The only way out over HTTP for attestors and issuers. It refuses what it should not reach, and it never
 * waits or reads without a bound: https only, no redirects, a deadline, a cap on the decoded body, and only
 * addresses that the operator means, judged after DNS resolution and pinned for the connection.
 */
import { Agent, fetch as undiciFetch } from 'undici'
import { createPinnedConnector, type Lookup } from './outbound-connector.ts'
import { OutboundError } from './outbound-error.ts'

export const OUTBOUND_LIMITS = {
  /** From the call to the last byte of the body. */
  deadlineMs: 5_000,
  /** Of the decoded body: a gzip bomb is cut as it unfolds. */
  maxBodyBytes: 256 * 1024,
  maxHeaderBytes: 32 * 1024,
  keepAliveMs: 10_000,
} as const

export type OutboundSettings = {
  /** Loopback addresses may be reached, and plain http to loopback hosts. For development. */
  allowLoopback?: boolean
  /** Private ranges (RFC 1918, RFC 4193, RFC 6598) may be reached. Link-local and metadata never. */
  allowPrivateNetworks?: boolean
  deadlineMs?: number
  maxBodyBytes?: number
  /** PEM certificates to trust instead of the default store: a GHES with a private authority. */
  ca?: string
  /** PEM: what this side shows where the server asks for a certificate. */
  client?: { certificate: string; key: string }
  /** The name the server's certificate must have, where it is not the host of the URL. */
  serverName?: string
  /** All addresses of a host name; the system's resolver where absent. */
  lookup?: Lookup
}

export type OutboundOptions = { headers?: Record<string, string>; deadlineMs?: number; maxBodyBytes?: number }

export type Outbound = {
  /** @throws OutboundError where a bound is passed or the host cannot be reached. */
  get(url: string, options?: OutboundOptions): Promise<Response>
  /** The same bounds for SDKs that take a fetch. The request body is read whole before it is sent. */
  fetch: typeof fetch
  /** Ends idle and running connections. */
  close(): Promise<void>
  /** Takes no new calls, and ends when those under way are over. */
  retire(): Promise<void>
}

type Bounds = { deadlineMs: number; maxBodyBytes: number }

export function createOutbound(settings: OutboundSettings = {}): Outbound {
  const agent = new Agent({
    connect: createPinnedConnector(settings),
    maxHeaderSize: OUTBOUND_LIMITS.maxHeaderBytes,
    keepAliveTimeout: OUTBOUND_LIMITS.keepAliveMs,
    keepAliveMaxTimeout: OUTBOUND_LIMITS.keepAliveMs,
  })
  const bounds: Bounds = {
    deadlineMs: settings.deadlineMs ?? OUTBOUND_LIMITS.deadlineMs,
    maxBodyBytes: settings.maxBodyBytes ?? OUTBOUND_LIMITS.maxBodyBytes,
  }
  return {
    get: (url, { headers = {}, ...own } = {}) =>
      send(agent, settings, () => new Request(url, { headers }), { ...bounds, ...own }),
    fetch: (input, init) => send(agent, settings, () => new Request(input, init), bounds),
    close: () => agent.destroy(),
    retire: () => agent.close(),
  }
}

async function send(
  agent: Agent,
  settings: OutboundSettings,
  build: () => Request,
  bounds: Bounds,
): Promise<Response> {
  const request = buildRequest(build)
  const url = new URL(request.url)
  checkUrl(url, settings)
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), bounds.deadlineMs)
  try {
    const response = await undiciFetch(url, {
      dispatcher: agent,
      method: request.method,
      headers: [...request.headers],
      body: request.body === null ? null : await request.arrayBuffer(),
      redirect: 'manual',
      signal: AbortSignal.any([deadline.signal, request.signal]),
    })
    if (response.status >= 300 && response.status < 400 && response.status !== 304) {
      await response.body?.cancel()
      throw new OutboundError('redirect_refused', `${url.origin} answered with a redirect`)
    }
    const body = await readCapped(response.body, bounds.maxBodyBytes, url.origin)
    return rebuild(response, body, url)
  } catch (error) {
    throw explain(error, url.origin, { deadline: deadline.signal, caller: request.signal })
  } finally {
    clearTimeout(timer)
  }
}

/** A fault in the request (a header with a line break, say) is told without repeating the header's value. */
function buildRequest(build: () => Request): Request {
  try {
    return build()
  } catch {
    throw new OutboundError('request_invalid', 'the request could not be built')
  }
}

function checkUrl(url: URL, settings: OutboundSettings): void {
  if (url.username !== '' || url.password !== '') {
    throw new OutboundError('url_not_allowed', `${url.origin}: user name in the URL`)
  }
  if (url.protocol === 'https:') return
  if (url.protocol === 'http:' && settings.allowLoopback === true && LOOPBACK_HOST.test(url.hostname)) return
  throw new OutboundError('url_not_allowed', `${url.origin}: only https is allowed`)
}

/** As the URL parser writes them; whether the address is one too is judged when connecting. */
const LOOPBACK_HOST = /^(?:localhost|\[::1\]|127(?:\.\d{1,3}){3})$/

/** Undici counts what it decoded, so the cap holds for the unfolded body. */
async function readCapped(
  body: AsyncIterable<Uint8Array> | null,
  maxBytes: number,
  origin: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream, and with it the connection.
    if (size > maxBytes) throw new OutboundError('too_large', `${origin} sent more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** Undici's own Response is another class than the global one that SDKs and the contracts know. */
function rebuild(
  response: { status: number; statusText: string; headers: Iterable<[string, string]> },
  body: Uint8Array<ArrayBuffer>,
  url: URL,
): Response {
  const headers = new Headers([...response.headers])
  headers.delete('content-encoding')
  headers.delete('content-length')
  const { status, statusText } = response
  const bodiless = status === 204 || status === 205 || status === 304
  const rebuilt = new Response(bodiless ? null : body, { status, statusText, headers })
  // The HTTP server of this process puts a lighter class in the global's place, without a bytes() that works.
  const bytes = async () => new Uint8Array(await rebuilt.arrayBuffer())
  return Object.defineProperties(rebuilt, { url: { value: url.href }, bytes: { value: bytes } })
}

/** Only the origin and a system code go into the message: paths, queries and headers can hold secrets. */
function explain(
  error: unknown,
  origin: string,
  signals: { deadline: AbortSignal; caller: AbortSignal },
): OutboundError {
  let code = ''
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof OutboundError) return cause
    if ('code' in cause && typeof cause.code === 'string') code = cause.code
  }
  if (signals.deadline.aborted) return new OutboundError('deadline_passed', `${origin} took too long`)
  if (signals.caller.aborted) return new OutboundError('aborted', `the call to ${origin} was given up`)
  return new OutboundError('connection_failed', `${origin} could not be reached${code && ` (${code})`}`)
}
