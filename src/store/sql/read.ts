/** The read side of the contract: rows by their keys here, lists and due work beside. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead } from '../ledger.ts'
import type { LeaseState, SigningKeyRow } from '../rows.ts'
import { agentReads } from './agents.ts'
import { approvalReads } from './approvals.ts'
import { budgetReads } from './budgets.ts'
import { drillReads } from './drills.ts'
import { heldReads } from './held.ts'
import { leakReads } from './leaks.ts'
import { operatorReads } from './operators.ts'
import { preapprovalReads } from './preapprovals.ts'
import { prepare, type Run } from './prepare.ts'
import { proofReads } from './proof.ts'
import { dueReads } from './read-due.ts'
import { listReads } from './read-lists.ts'
import { registryReads } from './registry.ts'
import { reviewReads } from './review.ts'
import { revocationReads } from './revocations.ts'
import { shadowReads } from './shadow.ts'
import { workReads } from './works.ts'

export function ledgerReads(dialect: SqlDialect, run: Run): LedgerRead {
  return {
    ...agentReads(dialect, run),
    ...taskReads(dialect, run),
    ...leaseReads(dialect, run),
    ...accessReads(dialect, run),
    ...listReads(dialect, run),
    ...dueReads(dialect, run),
    ...budgetReads(dialect, run),
    ...heldReads(dialect, run),
    ...workReads(dialect, run),
    ...proofReads(dialect, run),
    ...drillReads(dialect, run),
    ...revocationReads(dialect, run),
    ...shadowReads(dialect, run),
    ...leakReads(dialect, run),
    ...registryReads(dialect, run),
    ...operatorReads(dialect, run),
    ...approvalReads(dialect, run),
    ...preapprovalReads(dialect, run),
    ...reviewReads(dialect, run),
  }
}

type TaskReads = Pick<LedgerRead, 'task' | 'taskByToken' | 'ancestors' | 'asks' | 'ask' | 'decision'>

function taskReads({ db }: SqlDialect, run: Run): TaskReads {
  const task = prepare((p: { id: string }) => db.selectFrom('tasks').selectAll().where('id', '=', p.id))
  const taskByToken = prepare((p: { hash: string }) =>
    db.selectFrom('tasks').selectAll().where('token_hash', '=', p.hash),
  )
  const ancestors = prepare((p: { task: string }) =>
    db
      .selectFrom('task_ancestors')
      .innerJoin('tasks', 'tasks.id', 'task_ancestors.ancestor')
      .selectAll('tasks')
      .where('task_ancestors.task', '=', p.task)
      .orderBy('distance', 'desc'),
  )
  const asks = prepare((p: { task: string }) =>
    db.selectFrom('asks').selectAll().where('task', '=', p.task).orderBy('created_at').orderBy('id'),
  )
  const ask = prepare((p: { id: string }) => db.selectFrom('asks').selectAll().where('id', '=', p.id))
  const decision = prepare((p: { id: string }) =>
    db.selectFrom('decisions').selectAll().where('id', '=', p.id),
  )
  return {
    task: async id => (await run(task({ id }))).rows[0],
    taskByToken: async hash => (await run(taskByToken({ hash }))).rows[0],
    ancestors: async id => (await run(ancestors({ task: id }))).rows,
    asks: async id => (await run(asks({ task: id }))).rows,
    ask: async id => (await run(ask({ id }))).rows[0],
    decision: async id => (await run(decision({ id }))).rows[0],
  }
}

type LeaseReads = Pick<LedgerRead, 'lease' | 'leaseBySecret' | 'leaseCounts' | 'revokedInGroup' | 'claim'>

function leaseReads({ db }: SqlDialect, run: Run): LeaseReads {
  const lease = prepare((p: { id: string }) => db.selectFrom('leases').selectAll().where('id', '=', p.id))
  /** The newest, should a provider ever give the same secret twice. */
  const leaseBySecret = prepare((p: { hash: string }) =>
    db
      .selectFrom('leases')
      .selectAll()
      .where('secret_sha256', '=', p.hash)
      // A literal, as the partial index says it.
      .where('revocability', '<>', sql.lit('introspected'))
      .orderBy('intended_at', 'desc')
      .orderBy('id', 'desc')
      .limit(sql.lit(1)),
  )
  const revokedInGroup = prepare((p: { issuer: string; group: string; since: number; limit: number }) =>
    db
      .selectFrom('leases')
      .selectAll()
      .where('issuer', '=', p.issuer)
      .where('revocation_group', '=', p.group)
      .where(eb => eb.fn.coalesce('provider_expires_at', 'dead_by'), '>', p.since)
      .where(eb => eb.or([eb('state', '=', 'revoking'), eb('closed_as', 'in', ['revoked', 'already_gone'])]))
      .orderBy(sql`case when revoked_at is null then 1 else 0 end`)
      .orderBy(eb => eb.fn.coalesce('active_at', 'mint_not_after'), 'desc')
      .orderBy('id')
      .limit(p.limit),
  )
  const claim = prepare((p: { name: string }) =>
    db.selectFrom('claims').selectAll().where('name', '=', p.name),
  )
  const count = sql<number>`count(*)`.as('count')
  /** Two statements in one, so that each is answered from its own partial index. */
  const counts = prepare((_: object) =>
    db
      .selectFrom('leases')
      .select(['state', 'issuer', count])
      .where('state', '<>', sql.lit('closed'))
      .groupBy(['issuer', 'state'])
      .unionAll(
        db
          .selectFrom('leases')
          .select([sql<LeaseState>`'closed'`.as('state'), 'issuer', count])
          .where('state', '=', sql.lit('closed'))
          .groupBy('issuer'),
      ),
  )
  return {
    lease: async id => (await run(lease({ id }))).rows[0],
    leaseBySecret: async hash => (await run(leaseBySecret({ hash }))).rows[0],
    leaseCounts: async () => (await run(counts({}))).rows,
    revokedInGroup: async (issuer, group, since, limit) =>
      (await run(revokedInGroup({ issuer, group, since, limit }))).rows,
    claim: async name => (await run(claim({ name }))).rows[0],
  }
}

type AccessReads = Pick<
  LedgerRead,
  'ticket' | 'ticketByToken' | 'evidence' | 'signingKeys' | 'operatorByToken' | 'meta'
>

function accessReads({ db }: SqlDialect, run: Run): AccessReads {
  const ticket = prepare((p: { id: string }) => db.selectFrom('tickets').selectAll().where('id', '=', p.id))
  const ticketByToken = prepare((p: { hash: string }) =>
    db.selectFrom('tickets').selectAll().where('token_hash', '=', p.hash),
  )
  const evidence = prepare((p: { id: string }) =>
    db.selectFrom('evidence').selectAll().where('id', '=', p.id),
  )
  const signingKeys = prepare((p: { purpose: SigningKeyRow['purpose'] }) =>
    db
      .selectFrom('signing_keys')
      .selectAll()
      .where('purpose', '=', p.purpose)
      .orderBy('created_at')
      .orderBy('kid'),
  )
  const operator = prepare((p: { hash: string }) =>
    db.selectFrom('operator_tokens').selectAll().where('token_hash', '=', p.hash),
  )
  const meta = prepare((p: { key: string }) => db.selectFrom('meta').select('value').where('key', '=', p.key))
  return {
    ticket: async id => (await run(ticket({ id }))).rows[0],
    ticketByToken: async hash => (await run(ticketByToken({ hash }))).rows[0],
    evidence: async id => (await run(evidence({ id }))).rows[0],
    signingKeys: async purpose => (await run(signingKeys({ purpose }))).rows,
    operatorByToken: async hash => (await run(operator({ hash }))).rows[0],
    meta: async key => (await run(meta({ key }))).rows[0]?.value,
  }
}
