/** `mayfly preapprovals`: consent beforehand, so long and so often. */
import { z } from 'zod'
import { canonicalDigest } from '../canonical.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, showAsk, table } from './print.ts'
import { freshIdToken } from './sign-in.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { json?: boolean }

const windowAnswer = z.looseObject({
  ...{ id: z.string(), agent: z.string(), by: z.string(), reason: z.string(), expires_at: z.string() },
  ...{ uses: z.number(), used: z.number(), revoked_at: z.string().nullable() },
  authorization_details: z.array(z.looseObject({ type: z.string() })),
})
const windowPage = z.looseObject({ items: z.array(windowAnswer), next: z.string().nullable() })
const previewAnswer = z.looseObject({ document: z.looseObject({}), digest: z.string() })

export async function preapprovals(terminal: Terminal, options: Options & { all?: boolean }): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/preapprovals${options.all === true ? '' : '?open=true'}`
  const page = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, windowPage)
  if (options.json) return printJson(terminal, page)
  const rows = page.items.map(row => [
    ...[row.id, row.agent, `${row.used}/${row.uses}`, shortTime(row.expires_at), row.by],
    ...[row.authorization_details.map(showAsk).join(' '), printable(row.reason)],
  ])
  terminal.out(table(['WINDOW', 'AGENT', 'USED', 'UNTIL', 'BY', 'COVERS', 'REASON'], rows))
  terminal.out(`${count(rows.length, 'window')}${page.next === null ? '' : ', and older ones'}\n`)
}

export type OpenOptions = Options & {
  agent: string
  ask?: string[]
  askJson?: string[]
  minutes: number
  uses: number
  reason: string
}

/** Shows what is agreed to with ids in place of names, and signs in for exactly that. */
export async function preapprovalOpen(terminal: Terminal, options: OpenOptions): Promise<void> {
  const { agent, minutes, uses, reason } = options
  const asks = readAsks(options)
  if (asks.length !== 1) throw usageError('say what is covered with one --ask')
  const order = { agent, authorization_details: asks, minutes, uses, reason }
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const preview = { method: 'POST', path: '/v1/preapprovals/preview', token, body: order } as const
  const { document, digest } = await client.call({ ...preview, whenLost: 'repeat' }, previewAnswer)
  if (canonicalDigest(document) !== digest)
    throw new CommandError('the broker shows another window than the one it asks to agree to: do not sign in')
  const whole = `${printableLines(JSON.stringify(document, null, 2))}\n`
  // Also beside JSON: nobody signs in for what they have not seen.
  if (options.json) terminal.err(whole)
  else terminal.out(whole)
  // As broker/preapprovals.ts has it.
  const boundTo = canonicalDigest({ verb: 'preapprove', document: digest })
  const body = { ...order, id_token: (await freshIdToken(terminal, client, boundTo)).reveal() }
  const call = { method: 'POST', path: '/v1/preapprovals', body, whenLost: 'never' } as const
  const made = await client.call(call, windowAnswer)
  if (options.json) return printJson(terminal, made)
  terminal.out(
    `${made.id} is open until ${shortTime(made.expires_at)}, for ${count(made.uses, 'credential')}.\n` +
      `Take it back with: mayfly preapprovals revoke ${made.id}\n`,
  )
}

export async function preapprovalRevoke(terminal: Terminal, id: string, options: Options): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/preapprovals/${encodeURIComponent(id)}`
  const made = await client.call({ method: 'DELETE', path, token, whenLost: 'repeat' }, windowAnswer)
  if (options.json) return printJson(terminal, made)
  terminal.out(`${made.id} is of no use any more; it was used ${count(made.used, 'time')}.\n`)
}

/** What would drive a terminal, or reorder its text, is written out. */
function printableLines(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]|\p{Cf}/gu, one => `\\u{${one.codePointAt(0)?.toString(16)}}`)
}
