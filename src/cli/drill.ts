/** `mayfly drill ISSUER`: shows that a credential of this issuer can be ended, and how long it takes. */
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { printable, printJson } from './print.ts'
import { CommandError, sleep, type Terminal } from './terminal.ts'

export type DrillOptions = BrokerOption & OperatorTokenOption & { json?: boolean }

const figure = z.number().nullable()
const drillAnswer = z.looseObject({
  id: z.string(),
  issuer: z.string(),
  state: z.enum(['running', 'passed', 'failed', 'unprovable']),
  proof: z.string(),
  lease: z.string().nullable(),
  detail: z.string().nullable(),
  ...{ mint_ms: figure, revoke_ms: figure, dead_ms: figure },
})
type DrillAnswer = z.infer<typeof drillAnswer>

/** Exit code 1 where it failed; what cannot be proven is said, and is no failure. */
export async function drill(terminal: Terminal, issuer: string, options: DrillOptions): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  let shown = await client.call(
    { method: 'POST', path: '/v1/drills', token, body: { issuer }, whenLost: 'never' },
    drillAnswer,
  )
  const until = terminal.now() + CLI_LIMITS.drillMs
  while (shown.state === 'running' && terminal.now() < until) {
    await sleep(terminal, CLI_LIMITS.drillPollMs)
    const path = `/v1/drills/${encodeURIComponent(shown.id)}`
    shown = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, drillAnswer)
  }
  if (options.json === true) printJson(terminal, shown)
  else terminal.out(`${describe(shown).join('\n')}\n`)
  if (shown.state === 'failed') throw new CommandError(`the drill of ${printable(issuer)} failed`)
  if (shown.state === 'running') throw new CommandError(`the drill ${shown.id} goes on; look at /v1/drills`)
}

function describe(shown: DrillAnswer): string[] {
  const figures = [
    ['mint', shown.mint_ms],
    ['end to revoked', shown.revoke_ms],
    ['end to seen dead', shown.dead_ms],
  ] as const
  return [
    `${shown.id} ${printable(shown.issuer)}: ${shown.state}`,
    ...(shown.lease === null ? [] : [`  canary            ${printable(shown.lease)}`]),
    `  looked at through ${printable(shown.proof === '' ? '-' : shown.proof)}`,
    ...figures.map(([name, ms]) => `  ${name.padEnd(17)} ${ms === null ? '-' : `${ms} ms`}`),
    ...(shown.detail === null ? [] : [`  ${printable(shown.detail)}`]),
  ]
}
