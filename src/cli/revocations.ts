import { canonicalDigest } from '../canonical.ts'
import { revocationAnswer, revocationPage, revocationStatusAnswer } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import { tellBlock, tellStatus } from './revocation.ts'
import { freshBeside } from './sign-in.ts'
import type { Terminal } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { blocking?: boolean; json?: boolean }

/** `mayfly revocations`: the latest, or those that still refuse; with an id, how far that one is. */
export async function revocations(
  terminal: Terminal,
  id: string | undefined,
  options: Options,
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const get = (path: string) => ({ method: 'GET', path, token, whenLost: 'repeat' }) as const
  if (id !== undefined) {
    const path = `/v1/revocations/${encodeURIComponent(id)}`
    const status = await client.call(get(path), revocationStatusAnswer)
    if (options.json) printJson(terminal, status)
    else terminal.out(`${status.state}: ${tellStatus(status)}\n${tellBlock(status)}`)
    return
  }
  const query = options.blocking ? '?blocking=true' : ''
  const page = await client.call(get(`/v1/revocations${query}`), revocationPage)
  if (options.json) return printJson(terminal, page)
  const rows = page.items.map(row => [
    row.id,
    row.state,
    row.blocking ? 'refuses' : '-',
    shortTime(row.created_at),
    row.by,
    Object.entries(row.filter)
      .map(pair => pair.join('='))
      .join(' ') || 'everything',
    printable(row.reason),
  ])
  terminal.out(table(['REVOCATION', 'RUN', 'BLOCK', 'SINCE', 'BY', 'WHAT', 'REASON'], rows))
  terminal.out(`${count(rows.length, 'revocation')}${page.next === null ? '' : ', and older ones'}\n`)
}

/** `mayfly unblock`: what a revocation refuses is allowed again. */
export async function unblock(terminal: Terminal, id: string, options: Options): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/revocations/${encodeURIComponent(id)}/unblock`
  const body = await freshBeside(terminal, client, token, canonicalDigest({ unblock: id }))
  // A sign-in is good once.
  const whenLost = body.id_token === undefined ? 'repeat' : 'never'
  const answer = await client.call({ method: 'POST', path, token, body, whenLost }, revocationAnswer)
  if (options.json) return printJson(terminal, answer)
  terminal.out(`${answer.id} refuses nothing any more.\n`)
}
