/**
 * Signature Version 4, checked for real: canonical request, string to sign, derived key.
 * IAM User Guide, "Create a signed AWS API request". Header authentication only (no presigned URLs).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { readPath } from './s3.ts'
import type { Principal, World } from './world.ts'

export type Service = 'sts' | 'iam' | 'ec2' | 's3'

/** Why a request is not from whom it says. Each service has its own words for these. */
export type AuthFailure =
  | 'unsigned'
  | 'incomplete'
  | 'wrong_service'
  | 'unknown_key'
  | 'bad_token'
  | 'skewed'
  | 'bad_signature'
  | 'body_mismatch'
  | 'unsigned_headers'
  | 'unsupported_body'
  | 'expired_token'

export type SignedRequest = { method: string; url: URL; headers: Headers; body: Uint8Array }

/** Who signed the request, or why nobody did. */
export function authenticate(
  world: World,
  service: Service,
  request: SignedRequest,
): { ok: true; principal: Principal } | { ok: false; failure: AuthFailure } {
  const refuse = (failure: AuthFailure) => ({ ok: false, failure }) as const
  const header = request.headers.get('authorization')
  if (header === null) return refuse('unsigned')
  const parts = readAuthorization(header)
  const signedAt = readAmzDate(request.headers.get('x-amz-date'))
  if (parts === undefined || Number.isNaN(signedAt)) return refuse('incomplete')
  if (!parts.signedHeaders.includes('host')) return refuse('incomplete')
  if (parts.service !== service) return refuse('wrong_service')

  const principal = world.users.get(parts.accessKeyId) ?? world.sessions.get(parts.accessKeyId)
  if (principal === undefined) return refuse('unknown_key')
  const token = request.headers.get('x-amz-security-token') ?? undefined
  if (principal.kind === 'session' && token === undefined) return refuse('unknown_key')
  if (token !== (principal.kind === 'session' ? principal.sessionToken : undefined))
    return refuse('bad_token')
  const date = request.headers.get('x-amz-date') ?? ''
  if (!date.startsWith(parts.day)) return refuse('bad_signature')
  if (Math.abs(world.now() - signedAt) > world.signatureWindowMs) return refuse('skewed')

  const payload = payloadHash(service, request)
  if (payload === undefined) return refuse('unsupported_body')
  const expected = signature(principal.secretAccessKey, parts, service, request, payload)
  if (!sameHex(expected, parts.signature)) return refuse('bad_signature')
  if (payload !== UNSIGNED && payload !== sha256(request.body)) return refuse('body_mismatch')
  if (service === 's3' && unsignedAmzHeaders(request.headers, parts.signedHeaders)) {
    return refuse('unsigned_headers')
  }
  if (principal.kind === 'session' && world.now() >= principal.expiresAt) return refuse('expired_token')
  return { ok: true, principal }
}

type Authorization = {
  accessKeyId: string
  day: string
  region: string
  service: string
  signedHeaders: readonly string[]
  signature: string
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9]+)\/aws4_request,\s*SignedHeaders=([a-z0-9;_-]+),\s*Signature=([0-9a-f]{64})$/

function readAuthorization(header: string): Authorization | undefined {
  const match = AUTHORIZATION.exec(header)
  if (match === null) return undefined
  const [, accessKeyId = '', day = '', region = '', service = '', signedHeaders = '', hex = ''] = match
  return { accessKeyId, day, region, service, signedHeaders: signedHeaders.split(';'), signature: hex }
}

/** `20260131T120000Z` as epoch ms, NaN where it is absent or has another form. */
function readAmzDate(text: string | null): number {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text ?? '')
  if (match === null) return Number.NaN
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

const UNSIGNED = 'UNSIGNED-PAYLOAD'

/** What the canonical request ends with: S3 sends it as a header, the others hash the body. Chunked signing: undefined. */
function payloadHash(service: Service, request: SignedRequest): string | undefined {
  if (service !== 's3') return sha256(request.body)
  const declared = request.headers.get('x-amz-content-sha256') ?? ''
  return declared === UNSIGNED || /^[0-9a-f]{64}$/.test(declared) ? declared : undefined
}

function signature(
  secret: string,
  parts: Authorization,
  service: Service,
  request: SignedRequest,
  payload: string,
): string {
  const { day, region, signedHeaders } = parts
  const canonical = [
    request.method,
    canonicalPath(service, request.url.pathname),
    canonicalQuery(request.url),
    ...signedHeaders.map(name => `${name}:${headerValue(request, name)}`),
    '',
    signedHeaders.join(';'),
    payload,
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const date = request.headers.get('x-amz-date') ?? ''
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(Buffer.from(canonical))].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`))
  return hmac(key, toSign).toString('hex')
}

/** S3 encodes the path once; every other service encodes what is already encoded again. */
function canonicalPath(service: Service, pathname: string): string {
  const encode = (part: string) => rfc3986(service === 's3' ? readPath(part) : part)
  return pathname.split('/').map(encode).join('/')
}

function canonicalQuery(url: URL): string {
  const pairs = [...url.searchParams].map(([key, value]) => `${rfc3986(key)}=${rfc3986(value)}`)
  return pairs.sort().join('&')
}

/** Trimmed, inner runs of spaces made one. A Request built without a socket has no Host header: its URL has it. */
function headerValue(request: SignedRequest, name: string): string {
  const value = request.headers.get(name) ?? (name === 'host' ? request.url.host : '')
  return value.trim().replace(/ +/g, ' ')
}

function unsignedAmzHeaders(headers: Headers, signed: readonly string[]): boolean {
  return [...headers.keys()].some(name => name.startsWith('x-amz-') && !signed.includes(name))
}

/** Everything but A-Z a-z 0-9 - . _ ~ as %XX. */
function rfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sameHex(left: string, right: string): boolean {
  return left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right))
}
