/** A receipt checked with nothing but itself and a key set: no broker, no network. */
import { createHash } from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, errors as joseErrors, jwtVerify } from 'jose'
import { z } from 'zod'
import { RECEIPT_TYP, type Receipt, receiptShape } from './receipt.ts'

export { RECEIPT_TYP, type Receipt, receiptShape }

export type ReceiptFault =
  | 'malformed' // not a compact JWS in its one spelling
  | 'wrong_type' // signed as something else
  | 'wrong_algorithm'
  | 'unknown_key' // none of the key set
  | 'signature_wrong' // altered, or another key under the same id
  | 'issuer_wrong' // of another broker
  | 'content_wrong' // signed, and yet no receipt that this version knows

export type ReceiptVerdict =
  | { ok: true; receipt: Receipt; kid: string; sha256: string }
  | { ok: false; fault: ReceiptFault; detail: string }

/** RFC 7517 section 5; what is no public P-256 key is refused rather than skipped. */
export const receiptKeySet = z.object({
  keys: z
    .array(
      z.object({
        kty: z.literal('EC'),
        crv: z.literal('P-256'),
        x: z.base64url(),
        y: z.base64url(),
        kid: z.string().min(1),
        alg: z.literal('ES256').optional(),
        use: z.literal('sig').optional(),
      }),
    )
    .min(1),
})
export type ReceiptKeySet = z.infer<typeof receiptKeySet>

/** SHA-256 (hex) of the compact JWS: how a parent's receipt names this one. */
export function receiptHash(jws: string): string {
  return createHash('sha256').update(jws, 'ascii').digest('hex')
}

/** @param issuer the broker's public URL that is expected; absent, the receipt's own is taken as it is. */
export async function verifyReceipt(
  jws: string,
  keys: ReceiptKeySet,
  { issuer }: { issuer?: string } = {},
): Promise<ReceiptVerdict> {
  const header = readHeader(jws)
  if (header === undefined) return refuse('malformed', 'this is not a signed receipt')
  if (header.typ !== RECEIPT_TYP) return refuse('wrong_type', `signed as ${header.typ}, not ${RECEIPT_TYP}`)
  if (header.alg !== 'ES256') return refuse('wrong_algorithm', `signed with ${header.alg}, not ES256`)
  const key = keys.keys.filter(({ kid }) => kid === header.kid)
  if (key.length !== 1) return refuse('unknown_key', `the key set has ${key.length} keys ${header.kid}`)
  let payload: unknown
  try {
    const verified = await jwtVerify(jws, createLocalJWKSet({ keys: key } as JSONWebKeySet), {
      algorithms: ['ES256'],
      typ: RECEIPT_TYP,
    })
    payload = verified.payload
  } catch (error) {
    if (!(error instanceof joseErrors.JOSEError)) throw error
    return refuse('signature_wrong', 'it was altered, or signed by another key')
  }
  const parsed = receiptShape.safeParse(payload)
  if (!parsed.success) {
    const where = parsed.error.issues.map(issue => issue.path.join('.') || 'the whole').slice(0, 3)
    return refuse('content_wrong', `its content is not of this version (${where.join(', ')})`)
  }
  const receipt = parsed.data
  if (issuer !== undefined && receipt.iss !== issuer)
    return refuse('issuer_wrong', `it is of ${receipt.iss}, not of ${issuer}`)
  return { ok: true, receipt, kid: header.kid, sha256: receiptHash(jws) }
}

/** What a receipt says, with nothing checked. Undefined where it is none. */
export function readReceipt(jws: string): Receipt | undefined {
  const payload = segments(jws)?.[1]
  const parsed = receiptShape.safeParse(payload === undefined ? undefined : json(payload))
  return parsed.success ? parsed.data : undefined
}

const headerShape = z.strictObject({ alg: z.string(), typ: z.string(), kid: z.string() })

function readHeader(jws: string): z.infer<typeof headerShape> | undefined {
  const parts = segments(jws)
  // A base64url text that decodes to the same bytes as another would be a second spelling of one receipt.
  if (parts?.some(part => Buffer.from(part, 'base64url').toString('base64url') !== part)) return undefined
  const parsed = headerShape.safeParse(parts === undefined ? undefined : json(parts[0]))
  return parsed.success ? parsed.data : undefined
}

function segments(jws: string): [string, string, string] | undefined {
  const match = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(jws)
  return match === null ? undefined : [match[1] ?? '', match[2] ?? '', match[3] ?? '']
}

function json(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

function refuse(fault: ReceiptFault, detail: string): ReceiptVerdict {
  return { ok: false, fault, detail }
}
