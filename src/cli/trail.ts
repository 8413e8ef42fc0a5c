/** `mayfly trail`: the whole story of one task, in order, with what the providers say was done. */
import { z } from 'zod'
import type { ProviderLogEntry } from '../provider-logs/entry.ts'
import { leaseAnswer, taskAnswer } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, showAsk } from './print.ts'
import { type ProviderLogOptions, readProviderLogs } from './provider-logs.ts'
import type { Terminal } from './terminal.ts'

export type TrailOptions = BrokerOption & OperatorTokenOption & ProviderLogOptions & { json?: boolean }

const eventAnswer = z.looseObject({
  at: z.string(),
  event: z.string(),
  actor: z.string(),
  lease: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
})
const decisionAnswer = z.looseObject({
  id: z.string(),
  outcome: z.string(),
  decided_at: z.string(),
  reasons: z.array(z.string()),
  policy_hash: z.string().nullable(),
})
const task = taskAnswer.omit({ credentials: true })
const trailAnswer = z.looseObject({
  task: task.extend({
    opened_at: z.string(),
    ended_at: z.string().nullable(),
    end_detail: z.string().nullable(),
    /** Empty where the broker works for itself: a look-up, a drill. */
    identity: z.looseObject({ attestor: z.string(), issuer: z.string(), subject: z.string() }).partial(),
    on_behalf_of: z.looseObject({ id: z.string(), name: z.string() }).nullish(),
  }),
  ancestors: z.array(task),
  descendants: z.array(task),
  decisions: z.array(decisionAnswer),
  credentials: z.array(
    leaseAnswer.extend({
      sha256: z.string().nullable(),
      active_at: z.string().nullable(),
      confirmed_dead_at: z.string().nullable(),
    }),
  ),
  events: z.array(eventAnswer),
  receipt: z.string().nullable(),
  complete: z.boolean(),
})
type Trail = z.infer<typeof trailAnswer>
type Credential = Trail['credentials'][number]

export async function trail(terminal: Terminal, id: string, options: TrailOptions): Promise<void> {
  const entries = await readProviderLogs(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/tasks/${encodeURIComponent(id)}/trail`
  const answer = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, trailAnswer)
  const done = answer.credentials.flatMap(lease =>
    entries.filter(entry => isBy(entry, lease)).map(entry => ({ lease: lease.lease, ...entry })),
  )
  if (options.json === true) return printJson(terminal, { ...answer, provider_log: done })
  terminal.out(`${[...head(answer), ...story(answer, done), ...foot(answer, options)].join('\n')}\n`)
}

/** GitHub names a token by its hash, AWS a session by its name: the lease's. */
function isBy(entry: ProviderLogEntry, lease: Pick<Credential, 'lease' | 'sha256'>): boolean {
  if (entry.tokenHash !== undefined && entry.tokenHash === lease.sha256) return true
  return entry.session === lease.lease || entry.sourceIdentity === lease.lease
}

function head({ task, ancestors, descendants }: Trail): string[] {
  const { identity, on_behalf_of: behalf } = task
  return [
    `${task.id} of ${printable(task.agent)}: ${printable(task.purpose)}`,
    `  ${proof(identity)}`,
    ...(behalf == null ? [] : [`  on behalf of ${printable(behalf.name)} (${printable(behalf.id)})`]),
    ...ancestors.map(one => `  below ${one.id} of ${printable(one.agent)}`),
    ...descendants.map(one => `  above ${one.id} of ${printable(one.agent)}, ${one.end ?? one.state}`),
  ]
}

function proof({ attestor, subject, issuer }: Trail['task']['identity']): string {
  if (attestor === undefined) return "the broker's own: nobody had to prove anything"
  return `proven by ${printable(attestor)}: ${printable(subject ?? '')} (${printable(issuer ?? '')})`
}

type Line = { at: string; text: string }

/** Everything in one order: what was decided, what happened, what the credentials did. */
function story(
  { decisions, credentials, events }: Trail,
  done: readonly (ProviderLogEntry & { lease: string })[],
): string[] {
  const what = new Map(credentials.map(lease => [lease.lease, showAsk(lease.authorization_details)]))
  const lines: Line[] = [
    ...decisions.map(one => ({
      at: one.decided_at,
      text: `decision ${one.id}: ${one.outcome} (${one.reasons.map(printable).join('; ')})`,
    })),
    ...events.map(({ at, event, actor, lease, data }) => ({
      at,
      text: [
        `${event} by ${printable(actor)}`,
        ...(lease === null ? [] : [`${lease} ${what.get(lease) ?? ''}`.trim()]),
        ...Object.entries(data).map(([key, value]) => printable(`${key}=${wordOf(value)}`)),
      ].join(', '),
    })),
    ...done.map(entry => ({
      at: new Date(entry.at).toISOString(),
      text:
        `at ${entry.provider}: ${printable(entry.action)} ${printable(entry.resource ?? '')}`.trimEnd() +
        ` with ${entry.lease}${entry.refused === undefined ? '' : ` (refused: ${printable(entry.refused)})`}` +
        (entry.created === undefined
          ? ''
          : `; LEFT BEHIND ${printable(`${entry.created.kind} ${entry.created.name}`)}`),
    })),
  ]
  return lines
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .map(({ at, text }) => `  ${shortTime(at)}  ${text}`)
}

function foot({ task, credentials, receipt, complete }: Trail, options: ProviderLogOptions): string[] {
  const dead = credentials.filter(lease => lease.confirmed_dead_at !== null).length
  const logs = options.githubAudit ?? options.cloudtrail
  return [
    `${count(credentials.length, 'credential')}, ${dead} seen dead; ` +
      (receipt === null
        ? 'no receipt yet'
        : `its receipt: mayfly receipt show ${task.id} --jws > receipt.jws`),
    ...(logs === undefined
      ? ["What was done with them only the provider's log says: --github-audit, --cloudtrail."]
      : []),
    ...(complete ? [] : ['There is more than is shown here: mayfly leases, and /v1/audit, have the rest.']),
  ]
}

function wordOf(value: unknown): string {
  const told = momentOr(value)
  return typeof told === 'string' ? told : JSON.stringify(told, (_, inner: unknown) => momentOr(inner))
}

/** The audit log has moments as epoch ms (from 2001 to 2100), and no other figure that is nearly as large. */
function momentOr(value: unknown): unknown {
  const isMoment = typeof value === 'number' && value >= 1e12 && value < 4.2e12
  return isMoment ? shortTime(new Date(value).toISOString()) : value
}
