import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import { parseToken } from '../keys/tokens.ts'
import { leaseNamedBy } from '../scan/jwt-id.ts'
import { type BrokerOption, brokerUrl, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, note, printable, printJson, shortTime } from './print.ts'
import { CommandError, EXIT, errorCode, type Terminal, usageError } from './terminal.ts'

export type LeakedOptions = BrokerOption &
  OperatorTokenOption & { reason?: string; yes?: boolean; json?: boolean }

const item = z.looseObject({
  known: z.boolean(),
  kind: z.string().nullable(),
  subject: z.string().nullable(),
  task: z.string().nullable(),
  task_state: z.string().nullable(),
  agent: z.string().nullable(),
  issuer: z.string().nullable(),
  over_since: z.string().nullable(),
  reported_before: z.boolean().nullable(),
  tasks_ended: z.number(),
  quarantined: z.string().nullable(),
})
type Item = z.infer<typeof item>
const reportAnswer = z.looseObject({ dry_run: z.boolean(), items: z.array(item) })
const foundAnswer = z.looseObject({ reported: z.literal(true) })

/**
 * `mayfly leaked`: whose a secret is that somebody found, and with --yes the end of what it belongs to. An operator
 * sends its hash, or the lease that it names; only Mayfly's own tokens, which the ledger knows by a keyed hash, are
 * sent themselves, to the broker that gave them. Without an operator's token the secret itself is the proof.
 */
export async function leaked(
  terminal: Terminal,
  argument: string | undefined,
  options: LeakedOptions,
): Promise<void> {
  const candidates = await readCandidates(terminal, argument)
  const operator = await operatorIfAny(terminal, options)
  const { reason = 'reported with mayfly leaked', yes = false } = options
  if (operator === undefined) return reportFound(terminal, candidates, { ...options, reason, yes })

  const client = createClient(terminal, operatorUrl(terminal, options))
  const body = { sightings: candidates.flatMap(sightingsOf), reason, dry_run: !yes }
  const { items } = await client.call(
    { method: 'POST', path: '/v1/leaks', token: operator, body, whenLost: 'repeat' },
    reportAnswer,
  )
  const known = new Map(items.filter(one => one.known).map(one => [one.subject, one]))
  if (options.json) printJson(terminal, { ended: yes, found: [...known.values()] })
  else for (const one of known.values()) terminal.out(`${describe(one, yes)}\n`)
  if (known.size === 0) {
    note(terminal, 'no secret that this broker knows, or none that you answer for')
    terminal.exitWith(EXIT.failure)
  } else if (!yes) {
    note(terminal, 'nothing has ended yet. To end it, run the same with --yes')
    terminal.exitWith(EXIT.failure)
  }
}

/** Whoever holds a secret may end it, and learns nothing by it. */
async function reportFound(
  terminal: Terminal,
  candidates: readonly string[],
  options: LeakedOptions & { reason: string; yes: boolean },
): Promise<void> {
  const url = brokerUrl(terminal, options)
  if (!options.yes)
    throw usageError(
      `without a session or an operator token the secret itself is sent to ${url}, to be ended there.\n` +
        '  If that is what you want, run the same with --yes. Else sign in first: mayfly login',
    )
  const client = createClient(terminal, url)
  const shown = candidates.filter(isOfMayfly)
  for (const token of shown.length > 0 ? shown : candidates.slice(0, 1)) {
    const body = { token, reason: options.reason }
    await client.call({ method: 'POST', path: '/v1/leaks/found', body, whenLost: 'repeat' }, foundAnswer)
  }
  if (options.json) printJson(terminal, { reported: true })
  else terminal.out(`Reported to ${url}: if it gave the secret, what it belongs to is ended now.\n`)
}

/** @throws CommandError */
async function readCandidates(terminal: Terminal, argument: string | undefined): Promise<string[]> {
  if (argument !== undefined && argument !== '-')
    note(
      terminal,
      'a secret on the command line is seen by every process and kept by the shell: use standard input',
    )
  const text =
    argument !== undefined && argument !== '-'
      ? argument
      : await terminal.readStdin(CLI_LIMITS.leakedBytes).catch((cause: unknown) => {
          throw new CommandError(`standard input cannot be read (${errorCode(cause)})`, { cause })
        })
  const candidates = candidatesIn(text)
  if (candidates.length === 0)
    throw usageError('expected a secret of at least 16 characters on standard input')
  return candidates
}

/** The text itself, and what in it has the form of a secret: of a line of a log, a variable, a file in JSON. */
export function candidatesIn(text: string): string[] {
  const trimmed = text.trim().replace(/^(?:bearer|token)\s+/i, '')
  const runs = trimmed.match(/[A-Za-z0-9+/=_.~-]{16,}/g) ?? []
  const values = runs.map(run => run.replace(/^[A-Za-z_][A-Za-z0-9_]*=/, ''))
  const all = [...(/\s/.test(trimmed) ? [] : [trimmed]), ...values, ...runs]
  return [...new Set(all.filter(one => one.length >= 16))].slice(0, CLI_LIMITS.leakedCandidates / 2)
}

function sightingsOf(text: string): object[] {
  if (parseToken(text) !== undefined) return [{ token: text }]
  const lease = leaseNamedBy(text)
  const sha256 = createHash('sha256').update(text).digest('hex')
  return [{ sha256 }, ...(lease === undefined ? [] : [{ lease }])]
}

const isOfMayfly = (text: string) =>
  parseToken(text) !== undefined || leaseNamedBy(text) !== undefined || /^gh[a-z]_/.test(text)

async function operatorIfAny(terminal: Terminal, options: LeakedOptions): Promise<Secret | undefined> {
  try {
    return await readOperatorToken(terminal, options)
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === EXIT.usage) return undefined
    throw error
  }
}

const KINDS: Readonly<Record<string, string>> = {
  credential: 'a credential',
  task_token: 'the token of a task',
  ticket: 'a ticket for a sub-agent',
  operator_token: "an operator's token",
  operator_session: "an operator's session",
}

function describe(one: Item, isEnded: boolean): string {
  const what = KINDS[one.kind ?? ''] ?? printable(one.kind ?? '')
  const by = one.issuer === null ? '' : ` by ${printable(one.issuer)}`
  const whose = one.agent === null ? '' : `, of agent ${printable(one.agent)}`
  const over =
    one.over_since === null ? 'it may be alive' : `it is of no use since ${shortTime(one.over_since)}`
  const lines = [
    `${what}${by}: ${printable(one.subject ?? '')}${whose}`,
    ...(one.task === null ? [] : [`  task ${printable(one.task)} (${printable(one.task_state ?? '')})`]),
    ...(isEnded ? ended(one) : [`  ${over}`]),
  ]
  return lines.join('\n')
}

function ended({ tasks_ended, quarantined, reported_before }: Item): string[] {
  return [
    `  ${tasks_ended === 0 ? 'nothing more had to end' : `${count(tasks_ended, 'task')} ended, and all that they held`}`,
    ...(quarantined === null ? [] : [`  ${printable(quarantined)} is in quarantine: it may only read`]),
    ...(reported_before === true ? ['  it was reported before'] : []),
  ]
}
