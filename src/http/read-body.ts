import type { Context } from 'hono'
import type { z } from 'zod'
import { type JsonValue, parseStrictJson, StrictJsonError } from '../../attestors/shared/strict-json.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { HttpRefusal } from './problem.ts'

/** JSON, parsed strictly (no duplicate member, bounded depth) and then by its schema, which refuses unknown keys. */
export async function readJson<T>(c: Context, schema: z.ZodType<T>, maxBytes: number): Promise<T> {
  demandContentType(c, 'application/json')
  const bytes = await readBytes(c, maxBytes)
  return parse(schema, strictJson(bytes, 'the body'))
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
  c: Context,
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

function demandContentType(c: Context, wanted: string): void {
  const given = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (given !== wanted) throw new HttpRefusal(415, `the body must be ${wanted}`)
}

/** @throws HttpRefusal 413 as soon as the cap is passed, whatever Content-Length said. */
async function readBytes(c: Context, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new HttpRefusal(413, `the body may have at most ${maxBytes} bytes`, { connection: 'close' })
  const announced = Number(c.req.header('content-length') ?? 0)
  if (announced > maxBytes) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.byteLength
    if (size > maxBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}
