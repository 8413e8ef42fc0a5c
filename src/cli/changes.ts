/** `mayfly changes`: what takes two humans, as it was proposed, and the second one's word. */
import { z } from 'zod'
import { changeDigest } from '../broker/people/change-digest.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import { freshBeside } from './sign-in.ts'
import { CommandError, type Terminal } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { json?: boolean }

const changeAnswer = z.looseObject({
  ...{ id: z.string(), kind: z.string(), state: z.string(), digest: z.string(), reason: z.string() },
  ...{ proposed_by: z.string(), created_at: z.string(), expires_at: z.string() },
  ...{ decided_by: z.string().nullable(), change: z.unknown() },
})
type ChangeAnswer = z.infer<typeof changeAnswer>
const changePage = z.looseObject({ items: z.array(changeAnswer), next: z.string().nullable() })

/** The latest, or one whole. */
export async function changes(terminal: Terminal, id: string | undefined, options: Options): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const get = (path: string) => ({ method: 'GET', path, token, whenLost: 'repeat' }) as const
  if (id !== undefined) {
    const shown = await client.call(get(`/v1/changes/${encodeURIComponent(id)}`), changeAnswer)
    return options.json ? printJson(terminal, shown) : tell(terminal, shown)
  }
  const page = await client.call(get('/v1/changes'), changePage)
  if (options.json) return printJson(terminal, page)
  const rows = page.items.map(row => [
    ...[row.id, row.kind, row.state, shortTime(row.expires_at), row.proposed_by, printable(row.reason)],
  ])
  terminal.out(table(['CHANGE', 'KIND', 'STATE', 'UNTIL', 'BY', 'REASON'], rows))
  terminal.out(`${count(rows.length, 'change')}${page.next === null ? '' : ', and older ones'}\n`)
}

/** Shows all of it, and signs in for exactly what was shown. */
export async function changeApprove(terminal: Terminal, id: string, options: Options): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/changes/${encodeURIComponent(id)}`
  const shown = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, changeAnswer)
  if (shown.digest !== changeDigest(shown))
    throw new CommandError('the broker shows another change than the one it asks to agree to: do not sign in')
  if (shown.state !== 'pending') throw new CommandError(`this change is ${printable(shown.state)} already`)
  // Also beside JSON: nobody signs in for what they have not seen.
  tell({ out: text => (options.json ? terminal.err(text) : terminal.out(text)) }, shown)
  const body = await freshBeside(terminal, client, token, shown.digest)
  const call = { method: 'POST', path: `${path}/approve`, token, body, whenLost: 'never' } as const
  finish(terminal, await client.call(call, changeAnswer), options)
}

/** Refuses it; or takes back what one has proposed oneself. */
export async function changeEnd(
  terminal: Terminal,
  id: string,
  options: Options & { reason: string; how: 'deny' | 'withdraw' },
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client: Client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/changes/${encodeURIComponent(id)}/${options.how}`
  const body = { reason: options.reason }
  const call = { method: 'POST', path, token, body, whenLost: 'never' } as const
  finish(terminal, await client.call(call, changeAnswer), options)
}

function finish(terminal: Terminal, change: ChangeAnswer, { json }: Options): void {
  if (json) printJson(terminal, change)
  else terminal.out(`${change.id} is ${printable(change.state)}.\n`)
}

/** All of the change, however long: what is cut is not what is agreed to. */
function tell(terminal: Pick<Terminal, 'out'>, change: ChangeAnswer): void {
  const lines = JSON.stringify(change.change, null, 2).split('\n').map(visible)
  terminal.out(
    `${change.id} ${printable(change.kind)}: ${printable(change.state)}\n` +
      `  proposed by ${printable(change.proposed_by)}, until ${shortTime(change.expires_at)}\n` +
      `  because ${printable(change.reason)}\n${lines.map(line => `  ${line}\n`).join('')}`,
  )
}

/** What would drive a terminal, or reorder its text, is written out. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, one => `\\u{${one.codePointAt(0)?.toString(16)}}`)
}
