/**
 * Ends what leaked: the task that held it with everything else it holds, or the operator's token or session. By rule
 * its agent is put into quarantine. Nothing else can come of a report, whoever makes it: it opens, extends and
 * widens nothing, and made again it changes nothing.
 */
import { record } from '../../audit/record.ts'
import { SYSTEM_AGENT } from '../../policy/agent.ts'
import { isReasonForQuarantine } from '../../policy/leak-rule.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { LeakRow } from '../../store/rows.ts'
import { carryOut, changeWithin } from '../agents/agent-standing.ts'
import type { Broker } from '../broker.ts'
import { type Ended, endWithin, wakeEnded } from '../tasks/end-task.ts'
import type { FoundLeak } from './find-leak.ts'

/** Who says so. `holder`: whoever has the secret. */
export type LeakSource = 'operator' | 'holder' | 'github'

export type LeakReport = {
  source: LeakSource
  /** As audit rows name whoever reported it. */
  by: string
  /** For people. */
  reason: string
}

export type Reported = {
  /** False where it was reported before. */
  isFirst: boolean
  /** How many tasks ended with it, those below it among them. */
  ended: number
  /** The agent that is in quarantine now because of it. */
  quarantined: string | null
}

export async function reportLeak(
  broker: Broker,
  found: FoundLeak,
  { source, by, reason }: LeakReport,
): Promise<Reported> {
  const { kind, subject, task } = found
  const agent = task === undefined || task.agent === SYSTEM_AGENT ? null : task.agent
  const facts = { tier: broker.agents().get(agent ?? '')?.risk_tier, overSince: found.overSince }
  const times = { now: await broker.ledger.now(), freshMs: broker.limits.leakFreshMs }
  const mayQuarantine = agent !== null && isReasonForQuarantine(broker.leaks.quarantine, facts, times)
  const done = await broker.ledger.write(async tx => {
    // 1. End. Repeated, too: a report that was cut short is made good by the next.
    const ended = await endLeaked(broker, tx, found, { source, by })
    // 2. Note. Reports of one secret wait here for each other.
    const noted = { subject, kind, task: task?.id ?? null, agent, source, reported_by: by, reason }
    const isFirst = await tx.noteLeak({ ...noted, quarantined: mayQuarantine ? 1 : 0 })
    const what = { actor: by, ...(task && { task: task.id, agent: task.agent }) }
    const lease = found.lease === undefined ? {} : { lease: found.lease.id }
    await record(
      tx,
      isFirst ? 'leak.reported' : 'leak.repeated',
      { ...what, ...lease },
      { kind, subject, source, reason },
    )
    // 3. Quarantine, once for each secret: an agent that a human let go is not caught by the same report again.
    const isCaught = isFirst && mayQuarantine
    const run = isCaught ? await quarantine(broker, tx, { agent: agent!, kind, subject }, by) : undefined
    return { ended, isFirst, run }
  })
  wakeEnded(broker, done.ended)
  if (done.run !== undefined) await carryOut(broker, done.run)
  const quarantined = done.run === undefined ? null : agent
  if (done.isFirst) {
    broker.metrics.leaked(kind, source)
    broker.log.error(
      { alarm: 'secret_leaked', kind, subject, task: task?.id, agent: task?.agent, source, by, quarantined },
      'a secret was reported as leaked: what it belonged to is ended',
    )
  } else broker.log.warn({ kind, subject, source, by }, 'a leak was reported again')
  return { isFirst: done.isFirst, ended: done.ended.ended.length, quarantined }
}

async function endLeaked(
  broker: Broker,
  tx: LedgerWrite,
  { kind, subject, task }: FoundLeak,
  { source, by }: Pick<LeakReport, 'source' | 'by'>,
): Promise<Ended> {
  const nothing: Ended = { ended: [], leases: [], cancelled: 0 }
  if (kind === 'operator_token') {
    await tx.forgetOperatorToken(subject)
    return nothing
  }
  if (kind === 'operator_session') {
    if (await tx.endOperatorSession(subject, by))
      await record(tx, 'operator.session_ended', { actor: by }, { session: subject })
    return nothing
  }
  if (task === undefined) return nothing
  const detail = `${WORDS[kind]} ${subject} was reported as leaked (${source})`
  return endWithin(broker, tx, task.id, 'revoked', { actor: by, detail })
}

/** Of an agent that works. One that is suspended, or on its way out, would be let do more by it. */
async function quarantine(
  broker: Broker,
  tx: LedgerWrite,
  { agent, kind, subject }: { agent: string; kind: LeakRow['kind']; subject: string },
  by: string,
): Promise<string | undefined> {
  const row = await tx.lockAgent(agent, 'update')
  if (row?.standing !== 'active') return undefined
  const reason = `${WORDS[kind]} ${subject} leaked`
  const order = { agent, verb: 'quarantine', reason, cause: 'operator', mayWiden: false } as const
  return changeWithin(broker, tx, order, by)
}

const WORDS: Readonly<Record<LeakRow['kind'], string>> = {
  credential: 'credential',
  task_token: 'the token of task',
  ticket: 'ticket',
  operator_token: 'operator token',
  operator_session: 'operator session',
}
