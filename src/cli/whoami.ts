import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { printable, printJson, shortTime } from './print.ts'
import type { Terminal } from './terminal.ts'

const answer = z.looseObject({
  kind: z.enum(['human', 'token']),
  name: z.string(),
  groups: z.array(z.string()),
  issuer: z.string().optional(),
  subject: z.string().optional(),
  expires_at: z.string().optional(),
})

/** `mayfly whoami`: as whom the broker knows this machine's operator, and of which groups. */
export async function whoami(
  terminal: Terminal,
  options: BrokerOption & OperatorTokenOption & { json?: boolean },
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = '/v1/operator-sessions/current'
  const me = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, answer)
  if (options.json) return printJson(terminal, me)
  if (me.kind === 'token') return terminal.out(`The operator token of ${printable(me.name)}.\n`)
  const until = me.expires_at === undefined ? '' : `, until ${shortTime(me.expires_at)}`
  terminal.out(
    `${printable(me.name)} (${printable(`${me.issuer}#${me.subject}`)})${until}\n` +
      `groups: ${me.groups.map(printable).join(', ') || 'none'}\n`,
  )
}
