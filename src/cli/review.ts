/** `mayfly review`: what every agent had, used and never used in a period, and a narrower ceiling for each. */

import { stringify } from 'yaml'
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { ProviderLogEntry } from '../provider-logs/entry.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, showAsk, table } from './print.ts'
import { type ProviderLogOptions, readProviderLogs } from './provider-logs.ts'
import { EXIT, type Terminal, usageError } from './terminal.ts'

export type ReviewOptions = BrokerOption &
  OperatorTokenOption &
  ProviderLogOptions & {
    days?: number
    from?: string
    to?: string
    agent?: string
    app?: string
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
const recognisedAnswer = z.looseObject({
  items: z.array(
    z.looseObject({
      sha256: z.string().optional(),
      session: z.string().optional(),
      lease: z.string().nullable(),
    }),
  ),
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
  const { held, strangers } = await strangersIn(client, token, entries, options.app)
  const looked = { entries: entries.length, app: options.app, held }
  if (options.json === true)
    printJson(terminal, { ...answer, unknown_credentials: strangers, credentials_looked_up: held })
  else terminal.out(`${describe(answer, strangers, looked).join('\n')}\n`)
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

type Stranger = { credential: string; seen: ProviderLogEntry }

/**
 * Credentials of the App or of roles that the log shows and the ledger does not know, and how many were `held`
 * against it. Of GitHub's entries those by
 * the App's own login count; of AWS's those of sessions that carry a lease's name or none of a person's.
 */
async function strangersIn(
  client: Client,
  token: Secret,
  entries: readonly ProviderLogEntry[],
  app: string | undefined,
): Promise<{ held: number; strangers: Stranger[] }> {
  const seen = new Map<string, { sighting: object; entry: ProviderLogEntry }>()
  for (const entry of entries) {
    const sighting = sightingOf(entry, app)
    if (sighting !== undefined)
      seen.set(JSON.stringify(sighting), seen.get(JSON.stringify(sighting)) ?? { sighting, entry })
  }
  const all = [...seen.values()]
  const strangers: Stranger[] = []
  for (let at = 0; at < all.length; at += CLI_LIMITS.recognisedItems) {
    const batch = all.slice(at, at + CLI_LIMITS.recognisedItems)
    const body = { credentials: batch.map(({ sighting }) => sighting) }
    const { items } = await client.call(
      { method: 'POST', path: '/v1/credentials/recognise', token, body, whenLost: 'repeat' },
      recognisedAnswer,
    )
    for (const [index, { lease, sha256, session }] of items.entries())
      if (lease === null) strangers.push({ credential: sha256 ?? session ?? '', seen: batch[index]!.entry })
  }
  return { held: all.length, strangers }
}

function sightingOf(
  { provider, actor, tokenHash, session, role }: ProviderLogEntry,
  app: string | undefined,
) {
  if (provider === 'github')
    return app !== undefined && actor === app && /^[0-9a-f]{64}$/.test(tokenHash ?? '')
      ? { sha256: tokenHash }
      : undefined
  return app !== undefined && role !== undefined && role === app && session !== undefined
    ? { session }
    : undefined
}

function describe(
  { from, to, agents, surplus, unasked }: z.infer<typeof reviewAnswer>,
  strangers: readonly Stranger[],
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
    ...strangers.map(({ credential, seen }) =>
      printable(
        `UNKNOWN CREDENTIAL ${credential}: ${seen.action} by ${seen.actor ?? 'somebody'} at ${new Date(seen.at).toISOString()}; this broker never handed it out`,
      ),
    ),
    ...(looked.entries > 0 && strangers.length === 0 ? [printable(nothingFound(looked))] : []),
  ]
}

type Looked = { entries: number; app: string | undefined; held: number }

/** What was not looked for was not found either: that is not to read like good news. */
function nothingFound({ entries, app, held }: Looked): string {
  const read = `${entries === 1 ? '1 entry' : `${entries} entries`} of the log read`
  if (app === undefined)
    return `${read}, and none held against the ledger: say whose credentials must be its own with --app.`
  if (held === 0) return `${read}, and no credential of ${app} among them: is it called so there?`
  return `${read}, ${count(held, 'credential')} of ${app} among them, none unknown.`
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
          '  This would have been enough; in place of the ceiling in its file, then: mayfly plan',
          stringify({ ceiling: proposed_ceiling }).trimEnd().replaceAll(/^/gm, '    '),
        ]),
  ]
}

const DAY_MS = 24 * 60 * 60_000
