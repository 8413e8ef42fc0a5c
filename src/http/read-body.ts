import type { Context } from 'hono'
import type { z } from 'zod'
import { type JsonValue, parseStrictJson, StrictJsonError } from '../../attestors/shared/strict-json.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { Env } from './guard.ts'
import { HttpRefusal } from './problem.ts'

/** JSON, parsed strictly (no duplicate member, bounded depth) and then by its schema, which refuses unknown keys. */
export async function readJson<T>(c: Context<Env>, schema: z.ZodType<T>, maxBytes: number): Promise<T> {
  demandContentType(c, 'application/json')
  const bytes = await readBytes(c, maxBytes)
  return parse(schema, strictJson(bytes, 'the body'))
}

/** The same where a body may be left out, and then says nothing. */
export async function readJsonIfAny<T>(c: Context<Env>, schema: z.ZodType<T>, maxBytes: number): Promise<T> {
  if (c.req.header('content-type') === undefined) return parse(schema, {})
  return readJson(c, schema, maxBytes)
}

/** JSON from outside: no duplicate member, bounded depth, finite numbers. */
export function strictJson(input: Uint8Array | string, what: string): JsonValue {
  try {
    return parseStrictJson(input)
  } catch (error) {
    if (error instanceof StrictJsonError)
      throw new BrokerError('request_invalid', `${what}: ${error.message}`)
    throw error
  }
}

/** A form, where no parameter may come twice unless it is named in `repeatable`. RFC 6749 section 3.2. */
export async function readForm(
  c: Context<Env>,
  maxBytes: number,
  repeatable: ReadonlySet<string> = new Set(),
): Promise<Map<string, string[]>> {
  demandContentType(c, 'application/x-www-form-urlencoded')
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let parameters: URLSearchParams
  try {
    parameters = new URLSearchParams(text.decode(await readBytes(c, maxBytes)))
  } catch (error) {
    if (error instanceof HttpRefusal) throw error
    throw new BrokerError('request_invalid', 'the body is not UTF-8')
  }
  const form = new Map<string, string[]>()
  for (const [name, value] of parameters) {
    const before = form.get(name)
    if (before !== undefined && !repeatable.has(name))
      throw new BrokerError('request_invalid', `the parameter ${name.slice(0, 40)} was sent twice`)
    form.set(name, [...(before ?? []), value])
  }
  return form
}

export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.slice(0, 10).map(issue => {
    const where = issue.path.length === 0 ? 'the body' : issue.path.join('.')
    return `${where}: ${issue.message}`
  })
  throw new BrokerError('request_invalid', problems.join('; '))
}

export function demandContentType(c: Context<Env>, wanted: string): void {
  if (contentTypeOf(c) !== wanted) throw new HttpRefusal(415, `the body must be ${wanted}`)
}

/** Without its parameters; lower case. */
export function contentTypeOf(c: Context<Env>): string | undefined {
  return c.env.incoming.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
}

/** The body as it came. @throws BrokerError where it is not UTF-8. */
export async function readText(c: Context<Env>, maxBytes: number): Promise<string> {
  const bytes = await readBytes(c, maxBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new BrokerError('request_invalid', 'the body is not UTF-8')
  }
}

/** A body may take as long as the connection's limits let it; its request has no place among those at work. */
async function readBytes(c: Context<Env>, maxBytes: number): Promise<Uint8Array> {
  const place = c.get('place')
  place?.leave()
  const bytes = await receive(c, maxBytes)
  place?.take()
  return bytes
}

/**
 * Straight from the connection: a Request with a body stream would cost more than all else about a request.
 *
 * @throws HttpRefusal 413 as soon as the cap is passed, whatever Content-Length said.
 */
function receive(c: Context<Env>, maxBytes: number): Promise<Uint8Array> {
  const { incoming } = c.env
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let size = 0
    const done = (settle: () => void) => {
      incoming.off('data', take).off('end', end).off('error', fail).off('close', closed)
      settle()
    }
    const take = (chunk: Uint8Array) => {
      size += chunk.byteLength
      if (size > maxBytes) refuse()
      else chunks.push(chunk)
    }
    const end = () => done(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)))
    const fail = (error: Error) => done(() => reject(error))
    const closed = () => fail(new Error('the connection closed before the body was whole'))
    const refuse = () => {
      incoming.pause()
      const problem = `the body may have at most ${maxBytes} bytes`
      fail(new HttpRefusal(413, problem, { connection: 'close' }))
    }
    if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) return refuse()
    // Nothing more would be heard of a connection that closed before we listened.
    if (incoming.destroyed) return closed()
    incoming.on('data', take).on('end', end).on('error', fail).on('close', closed)
  })
}
