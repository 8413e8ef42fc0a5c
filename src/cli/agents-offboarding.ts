/** `mayfly agents offboarding`: what became of an agent that leaves, and what it made that is still there. */
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { ProviderLogEntry } from '../provider-logs/entry.ts'
import { type OffboardingAnswer, offboardingAnswer } from './agent-answers.ts'
import { pathOf } from './agents.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import { type ProviderLogOptions, readProviderLogs } from './provider-logs.ts'
import { EXIT, type Terminal } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & ProviderLogOptions & { json?: boolean }

/** One thing that was made with a credential of the agent, and goes on existing without it. */
export type Made = {
  at: string
  provider: ProviderLogEntry['provider']
  kind: string
  name: string
  action: string
  resource: string | null
  lease: string
}

export async function agentOffboarding(terminal: Terminal, name: string, options: Options): Promise<void> {
  const entries = await readProviderLogs(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `${pathOf(name)}/offboarding`
  const report = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, offboardingAnswer)
  const leases = entries.length === 0 ? [] : await leasesSince(client, token, name, entries[0]?.at ?? 0)
  const made = madeBy([...report.credentials.items, ...leases], entries)
  if (options.json) printJson(terminal, { ...report, made })
  else terminal.out(describe(report, made, entries.length))
  // Not over yet: whoever waits for the end comes again.
  if (report.status === 'offboarding') terminal.exitWith(EXIT.unavailable)
}

type Held = { lease: string; sha256: string | null }

/** Joined by the hash of the token, or by the session's name or source identity. */
function madeBy(leases: readonly Held[], entries: readonly ProviderLogEntry[]): Made[] {
  const ids = new Set(leases.map(one => one.lease))
  const byHash = new Map(
    leases.flatMap(({ lease, sha256 }) => (sha256 === null ? [] : [[sha256, lease] as const])),
  )
  return entries.flatMap(
    ({ provider, at, action, created, tokenHash, session, sourceIdentity, resource }) => {
      const lease =
        (tokenHash === undefined ? undefined : byHash.get(tokenHash)) ??
        [session, sourceIdentity].find(one => one !== undefined && ids.has(one))
      if (lease === undefined || created === undefined) return []
      const when = new Date(at).toISOString()
      return [{ at: when, provider, ...created, action, resource: resource ?? null, lease }]
    },
  )
}

const heldPage = z.looseObject({
  items: z.array(
    z.looseObject({ lease: z.string(), sha256: z.string().nullable(), intended_at: z.string() }),
  ),
  next: z.string().nullable(),
})

/** Newest first, back to a day before the log begins: no credential lives longer. */
async function leasesSince(client: Client, token: Secret, agent: string, since: number): Promise<Held[]> {
  const held: Held[] = []
  let after: string | null = null
  do {
    const query = new URLSearchParams({ agent, ...(after === null ? {} : { after }) })
    const path = `/v1/leases?${query}`
    const page: z.infer<typeof heldPage> = await client.call(
      { method: 'GET', path, token, whenLost: 'repeat' },
      heldPage,
    )
    held.push(...page.items)
    const oldest = page.items.at(-1)?.intended_at
    const isEnough = oldest !== undefined && Date.parse(oldest) < since - LONGEST_LIFE_MS
    after = isEnough || held.length >= CLI_LIMITS.joinedLeases ? null : page.next
  } while (after !== null)
  return held
}

/** AWS gives nothing for longer than 36 hours (STS, GetScopedCredentials). */
const LONGEST_LIFE_MS = 36 * 3_600_000

function describe(report: OffboardingAnswer, made: readonly Made[], logged: number): string {
  const { credentials, tasks, bindings, open } = report
  const unsigned = tasks.receipts.filter(({ sha256 }) => sha256 === null).length
  const more = tasks.complete ? '' : `, ${tasks.ended - tasks.receipts.length} not listed here`
  const lines = [
    `${report.agent} is ${report.status} since ${shortTime(report.since)}, by ${report.by}: ${report.reason}`,
    `  owned by ${report.owner.business}, run by ${report.owner.technical}`,
    `  tasks: ${tasks.ended} ended; receipts: ${tasks.receipts.length - unsigned} signed, ${unsigned} to come${more}`,
    `  credentials: ${credentials.reached} reached, ${credentials.confirmed_dead} proven dead, ${credentials.expired} expired, ${credentials.expired_unconfirmed} expired without proof, ${credentials.never_minted} never minted`,
    `  void: ${count(bindings.attest_rules_void, 'attest rule')}, its tickets; delegated to it by ${bindings.delegated_from.join(', ') || 'nobody'}; pre-approvals open: ${bindings.preapprovals_open}`,
    `  open: ${count(open.tasks, 'task')}, ${count(open.credentials, 'credential')}`,
    '  for a human, in each system it touched:',
    ...report.systems.map(system => `    [ ] ${system}`),
  ].map(printable)
  const rows = made.map(one => [one.at, one.provider, one.kind, one.name, one.resource ?? '-', one.lease])
  const list =
    logged === 0
      ? 'what it made: not looked for (--github-audit, --cloudtrail)\n'
      : `what it made, and is still there until somebody looks: ${made.length} in ${logged} log entries\n`
  const head = ['AT', 'PROVIDER', 'KIND', 'NAME', 'WHERE', 'CREDENTIAL']
  return `${lines.join('\n')}\n${list}${rows.length === 0 ? '' : table(head, rows)}`
}
