/**
 * The parameters of AWS's query protocol: from the form and, as AWS has it, from the query string. Of two with one
 * name, in whatever case, nobody could say which is meant: they are refused.
 */
import type { Context } from 'hono'
import type { Env } from './guard.ts'
import { readForm } from './read-body.ts'
import { validationError } from './sts-refusal.ts'

export type Parameters = ReadonlyMap<string, string>

/** @throws StsRefusal BrokerError HttpRefusal */
export async function readParameters(c: Context<Env>, maxBytes: number): Promise<Parameters> {
  const form = await readForm(c, maxBytes)
  const given: [string, string][] = [...form].map(([name, values]) => [name, values[0]!])
  const question = (c.env.incoming.url ?? '').indexOf('?')
  const query = question < 0 ? '' : c.env.incoming.url!.slice(question + 1)
  for (const [name, value] of new URLSearchParams(query)) {
    if (name.toLowerCase() === 'webidentitytoken')
      throw validationError('WebIdentityToken must be in the body: a URL is written into logs')
    given.push([name, value])
  }
  const seen = new Set<string>()
  for (const [name] of given) {
    const folded = name.toLowerCase()
    if (seen.has(folded)) throw validationError(`the parameter ${name.slice(0, 40)} was sent twice`)
    seen.add(folded)
  }
  return new Map(given)
}
