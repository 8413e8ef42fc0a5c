import { canonicalDigest } from '../canonical.ts'
import { type AgentAnswer, agentAnswer, agentsAnswer } from './agent-answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import { freshBeside } from './sign-in.ts'
import { type Terminal, usageError } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { json?: boolean }
export type ChangeVerb = 'suspend' | 'quarantine' | 'activate' | 'offboard'

/** `mayfly agents`: all of them, or those that somebody should look at. */
export async function agents(
  terminal: Terminal,
  { flag, flagged, ...options }: Options & { flag?: string; flagged?: boolean },
): Promise<void> {
  const query = flag === undefined ? '' : `?${new URLSearchParams({ flag })}`
  const { call, token } = await connect(terminal, options)
  const page = await call(
    { method: 'GET', path: `/v1/agents${query}`, token, whenLost: 'repeat' },
    agentsAnswer,
  )
  const items = flagged === true ? page.items.filter(agent => agent.flags.length > 0) : page.items
  if (options.json) return printJson(terminal, { items })
  const rows = items.map(agent => [
    ...[agent.name, agent.status, agent.owner.business, agent.risk_tier],
    ...[String(agent.active_tasks), String(agent.outstanding_credentials), shortTime(agent.last_used)],
    ...[shortTime(agent.certified.until), agent.flags.join(' ') || '-'],
  ])
  const head = ['AGENT', 'STATUS', 'OWNER', 'TIER', 'TASKS', 'CREDENTIALS', 'LAST USED', 'CERTIFIED', 'FLAGS']
  terminal.out(`${table(head, rows)}${count(rows.length, 'agent')}\n`)
}

/** `mayfly agents show` */
export async function agentShow(terminal: Terminal, name: string, options: Options): Promise<void> {
  const { call, token } = await connect(terminal, options)
  const agent = await call({ method: 'GET', path: pathOf(name), token, whenLost: 'repeat' }, agentAnswer)
  if (options.json) return printJson(terminal, agent)
  terminal.out(describe(agent))
}

/** `mayfly agents suspend`, and the like. What lets the agent do more takes a sign-in for it alone. */
export async function agentChange(
  terminal: Terminal,
  verb: ChangeVerb,
  agent: string,
  options: Options & { reason: string; offline?: boolean; config?: string },
): Promise<void> {
  const { reason } = options
  if (options.offline === true) {
    if (verb !== 'suspend' && verb !== 'quarantine') throw usageError('--offline is for what narrows')
    const { agentChangeOffline } = await import('./agents-offline.ts')
    return agentChangeOffline(terminal, verb, agent, options)
  }
  if (options.config !== undefined)
    throw usageError('--config belongs to --offline; a running broker is found by --broker')
  const { client, call, token } = await connect(terminal, options)
  const mayWiden =
    verb === 'activate' ||
    (verb === 'quarantine' &&
      (await call({ method: 'GET', path: pathOf(agent), token, whenLost: 'repeat' }, agentAnswer)).status ===
        'suspended')
  const boundTo = canonicalDigest({ verb, agent, reason })
  const body = { reason, ...(mayWiden ? await freshBeside(terminal, client, token, boundTo) : {}) }
  // A sign-in is good once; everything else changes nothing the second time.
  const whenLost = 'id_token' in body ? 'never' : 'repeat'
  const answer = await call(
    { method: 'POST', path: `${pathOf(agent)}/${verb}`, token, body, whenLost },
    agentAnswer,
  )
  if (options.json) return printJson(terminal, answer)
  terminal.out(describe(answer))
}

/** `mayfly agents certify` */
export async function agentCertify(
  terminal: Terminal,
  agent: string,
  { reason, digest, until, ...options }: Options & { reason: string; digest?: string; until: string },
): Promise<void> {
  const at = Date.parse(until)
  if (Number.isNaN(at)) throw usageError('--until: expected a date, like 2027-01-31')
  const valid_until = new Date(at).toISOString()
  const { client, call, token } = await connect(terminal, options)
  const bound = { verb: 'certify', agent, reason, digest: digest ?? null, valid_until }
  const fresh = await freshBeside(terminal, client, token, canonicalDigest(bound))
  const body = { reason, valid_until, ...(digest === undefined ? {} : { digest }), ...fresh }
  const whenLost = fresh.id_token === undefined ? 'repeat' : 'never'
  const answer = await call(
    { method: 'POST', path: `${pathOf(agent)}/certify`, token, body, whenLost },
    agentAnswer,
  )
  if (options.json) return printJson(terminal, answer)
  terminal.out(describe(answer))
}

async function connect(terminal: Terminal, options: Options) {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  return { client, call: client.call, token }
}

export const pathOf = (agent: string) => `/v1/agents/${encodeURIComponent(agent)}`

export function describe(agent: AgentAnswer): string {
  const { standing, certified } = agent
  const by =
    standing.by === null
      ? ''
      : ` since ${shortTime(standing.since)}, by ${standing.by}: ${standing.reason ?? ''}`
  const lines = [
    `${agent.name} is ${agent.status}${by}`,
    `  ${agent.purpose}`,
    `  owned by ${agent.owner.business}, run by ${agent.owner.technical}; risk ${agent.risk_tier}; touches ${agent.systems.join(', ')}`,
    `  ${count(agent.active_tasks, 'task')} open, ${count(agent.outstanding_credentials, 'credential')} not over, last used ${shortTime(agent.last_used)}`,
    `  certified until ${shortTime(certified.until)}${certified.by === null ? '' : ` by ${certified.by}`}`,
    ...(agent.build === undefined ? [] : [`  build ${agent.build}`]),
    ...(agent.build !== undefined && agent.build !== certified.build
      ? [`  certified is ${certified.build ?? 'none'}`]
      : []),
    ...(agent.flags.length === 0 ? [] : [`  look at it: ${agent.flags.join(', ')}`]),
    ...(standing.revocation === null ? [] : [`  what it held: mayfly revocations ${standing.revocation}`]),
  ]
  return `${lines.map(printable).join('\n')}\n`
}
