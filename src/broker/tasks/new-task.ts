import type { BoundKey } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import { canonicalDigest } from '../../canonical.ts'
import { taskTokenHash } from '../../keys/tokens.ts'
import { MINUTE_MS } from '../../limits.ts'
import type { Agent } from '../../policy/agent.ts'
import type { AskRow, TaskRow, TicketRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import type { ParsedAsk } from '../credentials/resolve-asks.ts'
import type { AskVerdict } from '../decisions/decide.ts'
import { identityFacts } from '../decisions/judged.ts'
import { type Human, humanColumns } from '../people/human.ts'
import { taskMac } from '../verified-rows.ts'

/** Of whom a child is one: the ticket it comes with, and the line from the root to its parent. */
export type Parent = { ticket: TicketRow; line: TaskRow[] }

export type NewTask = {
  agent: Agent
  identity: Identity
  parent: Parent | undefined
  /** On whose behalf; of a child, the parent's. */
  human?: Human | undefined
  request: { purpose: string; minutes?: number; heartbeatSeconds?: number }
  token: Secret
  /** What the token is bound to. */
  key?: BoundKey | undefined
}

/** The nearest of what was asked, the agent's limit, the ticket, every ancestor and the agent's expiry; epoch ms. */
export function deadlineOf(
  broker: Broker,
  wanted: Pick<NewTask, 'agent' | 'parent'> & { minutes: number | undefined },
  now: number,
): number {
  const { agent, parent } = wanted
  const minutes = Math.min(
    wanted.minutes ?? broker.defaults.taskMinutes,
    agent.limits.task_minutes,
    parent?.ticket.minutes ?? Number.POSITIVE_INFINITY,
  )
  const above = (parent?.line ?? []).map(task => task.deadline)
  return Math.min(now + minutes * MINUTE_MS, agent.expires_at, ...above)
}

export function newTask(broker: Broker, wanted: NewTask): TaskRow {
  const { agent, identity, parent, human, request, token } = wanted
  const now = broker.now()
  const deadline = deadlineOf(broker, { agent, parent, minutes: request.minutes }, now)
  const heartbeatMs = silenceAllowed(broker, { agent, identity }, request.heartbeatSeconds)
  const id = broker.newId('tsk')
  const above = parent?.line.at(-1)
  const unsigned: Omit<TaskRow, 'mac'> = {
    id,
    parent: above?.id ?? null,
    root: above?.root ?? id,
    depth: above === undefined ? 0 : above.depth + 1,
    agent: agent.name,
    agent_digest: agent.digest,
    system: 0,
    state: 'active',
    end: null,
    end_detail: null,
    purpose: request.purpose,
    identity: JSON.stringify(identityFacts(identity)),
    evidence: identity.replay.id,
    ticket: parent?.ticket.id ?? null,
    ...humanColumns(human),
    token_hash: taskTokenHash(broker.keyring, token.reveal()),
    read_only: 0,
    bound_key: wanted.key === undefined ? null : JSON.stringify(wanted.key),
    token_used_at: null,
    opened_at: now,
    deadline,
    heartbeat_ms: heartbeatMs,
    heartbeat_due: heartbeatMs === null ? null : now + heartbeatMs,
    ended_at: null,
    settled_at: null,
  }
  return { ...unsigned, mac: taskMac(broker, unsigned) }
}

/**
 * ms. The agent's own demand is the longest silence allowed; the caller may only ask for a shorter one. A laptop
 * that is closed must not keep what it holds, so there is always one.
 */
function silenceAllowed(
  { defaults, limits }: Pick<Broker, 'defaults' | 'limits'>,
  { agent, identity }: Pick<NewTask, 'agent' | 'identity'>,
  wishedSeconds: number | undefined,
): number | null {
  const wished = wishedSeconds ?? agent.heartbeat_seconds ?? defaults.heartbeatSeconds
  const longest = identity.human === undefined ? undefined : limits.laptopSilenceSeconds
  const allowed = [wished, agent.heartbeat_seconds, longest].filter(one => one !== undefined)
  return allowed.length === 0 ? null : Math.min(...allowed) * 1_000
}

export function newAsk(
  broker: Broker,
  task: TaskRow,
  ask: ParsedAsk,
  { decision, verdict }: { decision: string; verdict: AskVerdict | undefined },
): AskRow {
  return {
    id: broker.newId('ask'),
    task: task.id,
    issuer: ask.issuerName,
    ask: JSON.stringify(ask.ask),
    digest: verdict?.digest ?? canonicalDigest(ask.ask),
    state: verdict?.outcome === 'allow' ? 'granted' : 'pending',
    decision,
    created_at: task.opened_at,
  }
}
