/** `mayfly approvals`: what waits for humans, shown whole, and the word of one who signs in for exactly that. */
import { z } from 'zod'
import { inertText } from '../broker/inert-text.ts'
import { canonicalDigest } from '../canonical.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, showAsk, table } from './print.ts'
import { freshIdToken } from './sign-in.ts'
import { CommandError, type Terminal } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { json?: boolean }

const time = z.string().nullable()
const detail = z.looseObject({ type: z.string() })
const approvalAnswer = z.looseObject({
  ...{ id: z.string(), state: z.string(), agent: z.string(), task: z.string(), phase: z.string() },
  ...{ digest: z.string(), expires_at: z.string(), closed_by: time, reason: time },
  ...{ mints: z.number(), minted: z.number(), authorization_details: detail },
})
const requirement = z.looseObject({ policy: z.string(), quorum: z.number(), groups: z.array(z.string()) })
const shownAnswer = approvalAnswer.extend({
  document: z.looseObject({
    task: z.looseObject({ id: z.string(), purpose: z.string() }),
    agent: z.looseObject({ name: z.string(), digest: z.string() }),
    line: z.array(z.looseObject({ task: z.string(), agent: z.string() })),
    on_behalf_of: z.looseObject({ issuer: z.string(), subject: z.string(), name: z.string() }).optional(),
    issuer: z.looseObject({ name: z.string(), digest: z.string() }),
    ask: z.looseObject({ id: z.string(), authorization_details: detail }),
    ...{ phase: z.string(), permissions: z.array(z.string()), may_leave_access: z.boolean() },
    ...{ revocability: z.string(), deadline: z.string(), mints: z.number() },
    untrusted: z.looseObject({ justification: z.string().nullable() }),
  }),
  agreed: z.array(z.looseObject({ name: z.string(), at: z.string() })),
  missing: z.array(requirement.extend({ has: z.number() })),
  unusual: z.looseObject({
    ...{ days: z.number(), phase: z.boolean(), permissions: z.array(z.string()), complete: z.boolean() },
    resources: z.array(z.looseObject({ type: z.string(), name: z.string() })),
  }),
})
type Shown = z.infer<typeof shownAnswer>
const approvalPage = z.looseObject({ items: z.array(approvalAnswer), next: time })

/** What waits, or with `all` what ever did; newest first. */
export async function approvals(
  terminal: Terminal,
  options: Options & { all?: boolean; agent?: string },
): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const query = new URLSearchParams({
    ...(options.all === true ? {} : { state: 'pending' }),
    ...(options.agent === undefined ? {} : { agent: options.agent }),
  })
  const path = `/v1/approvals?${query}`
  const page = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, approvalPage)
  if (options.json) return printJson(terminal, page)
  const rows = page.items.map(row => [
    ...[row.id, row.state, shortTime(row.expires_at), row.agent, row.phase],
    visible(showAsk(row.authorization_details)),
  ])
  terminal.out(table(['APPROVAL', 'STATE', 'UNTIL', 'AGENT', 'PHASE', 'WANTS'], rows))
  terminal.out(`${count(rows.length, 'approval')}${page.next === null ? '' : ', and older ones'}\n`)
}

export async function approvalShow(terminal: Terminal, id: string, options: Options): Promise<void> {
  const shown = await fetchShown(terminal, id, options)
  if (options.json) printJson(terminal, shown)
  else tell(terminal, shown)
}

/** Shows all of it, then signs in for exactly what was shown; the session is not enough, nor sent. */
export async function approvalAnswerWith(
  terminal: Terminal,
  id: string,
  options: Options & { verb: 'approve' | 'deny'; reason?: string },
): Promise<void> {
  const { verb, reason } = options
  const shown = await fetchShown(terminal, id, options)
  if (shown.state !== 'pending') throw new CommandError(`${shown.id} is ${printable(shown.state)} already`)
  // Also beside JSON: nobody signs in for what they have not seen.
  tell({ out: text => (options.json ? terminal.err(text) : terminal.out(text)) }, shown)
  const client = createClient(terminal, operatorUrl(terminal, options))
  // As broker/answer-approval.ts has it; of what was shown here, not of what the broker says of it.
  const boundTo = canonicalDigest({ verb, approval: shown.id, document: canonicalDigest(shown.document) })
  const body = {
    id_token: (await freshIdToken(terminal, client, boundTo)).reveal(),
    ...(reason === undefined ? {} : { reason }),
  }
  const path = `/v1/approvals/${encodeURIComponent(shown.id)}/${verb}`
  const answer = await client.call({ method: 'POST', path, body, whenLost: 'never' }, approvalAnswer)
  if (options.json) return printJson(terminal, answer)
  const more = answer.state === 'pending' ? '; others must agree, too' : ''
  terminal.out(`${answer.id} is ${printable(answer.state)}${more}.\n`)
}

async function fetchShown(terminal: Terminal, id: string, options: Options): Promise<Shown> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const path = `/v1/approvals/${encodeURIComponent(id)}`
  const shown = await client.call({ method: 'GET', path, token, whenLost: 'repeat' }, shownAnswer)
  if (shown.id === id && canonicalDigest(shown.document) === shown.digest) return shown
  throw new CommandError('the broker shows another document than the one it asks to agree to: do not sign in')
}

/** All of what would be minted, however long: what is cut is not what is agreed to. */
function tell(terminal: Pick<Terminal, 'out'>, shown: Shown): void {
  const { document: it, unusual } = shown
  const { task, agent, untrusted, on_behalf_of: behalf } = it
  const line = it.line.map(one => one.agent).join(' > ')
  const fresh = [
    ...(unusual.phase ? [`the phase ${it.phase}`] : []),
    ...unusual.resources.map(one => `${one.type} ${one.name}`),
    ...unusual.permissions,
  ]
  const lines = [
    `${shown.id} ${shown.state}, to be answered before ${shortTime(shown.expires_at)}`,
    `  agent      ${agent.name} (${agent.digest.slice(0, 12)})${line === '' ? '' : `, for ${line}`}`,
    ...(behalf === undefined ? [] : [`  for human  ${behalf.name} (${behalf.issuer}#${behalf.subject})`]),
    `  issuer     ${it.issuer.name} (${it.issuer.digest.slice(0, 12)})`,
    `  task       ${task.id}, until ${shortTime(it.deadline)}`,
    `  phase      ${it.phase}; ends ${it.revocability}${it.may_leave_access ? '; MAY LEAVE ACCESS BEHIND' : ''}`,
    `  rights     ${it.permissions.join(', ')}`,
    `  mints      ${it.mints} (${shown.minted} so far)`,
    `  unusual    ${fresh.length === 0 ? `nothing in ${unusual.days} days` : `new in ${unusual.days} days: ${fresh.join(', ')}`}`,
    `  digest     ${shown.digest}`,
    ...shown.agreed.map(one => `  agreed     ${one.name}, ${shortTime(one.at)}`),
    ...shown.missing.map(
      one =>
        `  missing    ${one.quorum - one.has} of ${one.groups.join(', ') || 'any group'} (${one.policy})`,
    ),
    ...(shown.closed_by === null ? [] : [`  closed by  ${shown.closed_by}: ${shown.reason ?? '-'}`]),
  ].map(printable)
  const whole = JSON.stringify(it.ask.authorization_details, null, 2).split('\n').map(visible)
  const said = [
    ...[`purpose: ${inertText(task.purpose)}`],
    ...(untrusted.justification === null ? [] : [`because: ${inertText(untrusted.justification)}`]),
  ]
  terminal.out(
    [
      ...lines,
      '  what would be minted:',
      ...whole.map(one => `    ${one}`),
      '  what the agent says, and nobody vouches for:',
      ...said.map(one => `    | ${one}`),
    ]
      .join('\n')
      .concat('\n'),
  )
}

/** What would drive a terminal, or reorder its text, is written out. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, one => `\\u{${one.codePointAt(0)?.toString(16)}}`)
}
