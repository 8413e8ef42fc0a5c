/** `mayfly review`: what every agent had, used and never used in a period, and a narrower ceiling for each. */

import { stringify } from 'yaml'
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { printable, printJson, showAsk, table } from './print.ts'
import { type ProviderLogOptions, readProviderLogs } from './provider-logs.ts'
import { describeProposal, writeProposals } from './review-proposals.ts'
import { describeLooked, type Looked, lookForStrangers } from './review-strangers.ts'
import { EXIT, type Terminal, usageError } from './terminal.ts'

export type ReviewOptions = BrokerOption &
  OperatorTokenOption &
  ProviderLogOptions & {
    days?: number
    from?: string
    to?: string
    agent?: string
    app?: readonly string[]
    propose?: string
    json?: boolean
  }

const figure = z.number()
const entryAnswer = z.looseObject({
  issuer: z.string(),
  authorization_details: z.looseObject({ type: z.string() }),
  minted: figure,
  never_used: z.array(z.string()),
  never_touched: z.array(z.string()),
})
const agentAnswer = z.looseObject({
  agent: z.string(),
  owner: z.looseObject({ business: z.string(), technical: z.string() }).nullable(),
  risk_tier: z.string().nullable(),
  tasks: z.looseObject({ opened: figure, receipts: figure }),
  decisions: z.looseObject({ allow: figure, deny: figure, needs_approval: figure }),
  credentials: z.looseObject({
    minted: figure,
    expired_unconfirmed: figure,
    may_have_left_access: figure,
    longest_life_ms: figure,
    longest_past_end_ms: figure,
  }),
  ceiling: z.array(entryAnswer),
  proposed_ceiling: z.record(z.string(), z.array(z.unknown())).nullable(),
})
type AgentAnswer = z.infer<typeof agentAnswer>
const reviewAnswer = z.looseObject({
  from: z.string(),
  to: z.string(),
  agents: z.array(agentAnswer),
  surplus: z.array(z.looseObject({ issuer: z.string(), where: z.string(), right: z.string() })),
  unasked: z.array(z.string()),
})
export async function review(terminal: Terminal, options: ReviewOptions): Promise<void> {
  const entries = await readProviderLogs(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const { agent } = options
  const query = new URLSearchParams({
    ...periodOf(terminal, options),
    ...(agent === undefined ? {} : { agent }),
  })
  const answer = await client.call(
    { method: 'GET', path: `/v1/review?${query}`, token, whenLost: 'repeat' },
    reviewAnswer,
  )
  const { app: apps = [], propose } = options
  const looked = await lookForStrangers(client, token, entries, apps)
  const { strangers } = looked
  const proposed =
    propose === undefined ? [] : await writeProposals(terminal, client, token, propose, answer.agents)
  if (options.json === true)
    printJson(terminal, {
      ...answer,
      unknown_credentials: strangers.map(({ credential, seen }) => ({ credential, seen })),
      credentials_looked_up: sum(looked.of.map(one => one.held)),
      entries_without_credential: sum(looked.of.map(one => one.unnamed)),
      ...(propose === undefined ? {} : { proposals: proposed }),
    })
  else terminal.out(`${[...describe(answer, looked), ...proposed.map(describeProposal)].join('\n')}\n`)
  // Somebody else mints with the App's key or in the broker's role.
  if (strangers.length > 0) terminal.exitWith(EXIT.failure)
}

function periodOf(terminal: Terminal, { from, to, days = CLI_LIMITS.reviewDays }: ReviewOptions) {
  const until = moment(to, '--to') ?? terminal.now()
  const since = moment(from, '--from') ?? until - days * DAY_MS
  if (since >= until) throw usageError('--from must be before --to')
  return { from: new Date(since).toISOString(), to: new Date(until).toISOString() }
}

function moment(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const ms = Date.parse(text)
  if (Number.isNaN(ms))
    throw usageError(`${option}: expected a date, like 2026-11-01 or 2026-11-01T00:00:00Z`)
  return ms
}

function describe(
  { from, to, agents, surplus, unasked }: z.infer<typeof reviewAnswer>,
  looked: Looked,
): string[] {
  return [
    `From ${from} to ${to}:`,
    table(
      [
        'AGENT',
        'OWNER',
        'TIER',
        'TASKS',
        'RECEIPTS',
        'ALLOWED',
        'DENIED',
        'ASKED',
        'MINTED',
        'LONGEST',
        'PAST END',
        'UNCONFIRMED',
      ],
      agents.map(rowOf),
    ),
    ...agents.flatMap(unusedOf),
    ...surplus.map(({ issuer, where, right }) =>
      printable(`${issuer}: ${where} gives ${right}, which no ceiling needs: take it away there`),
    ),
    ...unasked.map(name => printable(`${name}: its provider did not say what it gives`)),
    ...describeLooked(looked).map(printable),
  ]
}

function rowOf({ agent, owner, risk_tier, tasks, decisions, credentials }: AgentAnswer): string[] {
  return [
    agent,
    owner?.business ?? 'NOT REGISTERED',
    risk_tier ?? '-',
    String(tasks.opened),
    String(tasks.receipts),
    String(decisions.allow),
    String(decisions.deny),
    String(decisions.needs_approval),
    String(credentials.minted),
    `${Math.round(credentials.longest_life_ms / 1_000)} s`,
    `${Math.round(credentials.longest_past_end_ms / 1_000)} s`,
    String(credentials.expired_unconfirmed),
  ]
}

function unusedOf({ agent, ceiling, proposed_ceiling }: AgentAnswer): string[] {
  const lines = ceiling.flatMap(({ authorization_details, minted, never_used, never_touched }) => {
    const what = showAsk(authorization_details)
    if (minted === 0) return [`  never used: ${what}`]
    return [
      ...(never_used.length === 0 ? [] : [printable(`  of ${what}, never used: ${never_used.join(', ')}`)]),
      ...(never_touched.length === 0
        ? []
        : [printable(`  of ${what}, never touched: ${never_touched.join(', ')}`)]),
    ]
  })
  if (lines.length === 0 && proposed_ceiling === null) return []
  return [
    `${printable(agent)}:`,
    ...lines,
    ...(proposed_ceiling === null
      ? []
      : [
          '  This would have been enough; with --propose DIR, a document of the agent with it is written:',
          stringify({ ceiling: proposed_ceiling }).trimEnd().replaceAll(/^/gm, '    '),
        ]),
  ]
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)

const DAY_MS = 24 * 60 * 60_000
