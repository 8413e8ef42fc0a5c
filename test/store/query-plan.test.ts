/** What each statement costs is in its plan: whatever is asked often is found by an index, never by a scan. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CompiledQuery } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqliteDialect } from '../../src/store/dialect.ts'
import type { LedgerRead, LedgerWrite } from '../../src/store/ledger.ts'
import { migrate } from '../../src/store/migrations.ts'
import { askingAll } from '../../src/store/sql/prepare.ts'
import { ledgerReads } from '../../src/store/sql/read.ts'
import { ledgerWrites } from '../../src/store/sql/write.ts'
import { openSqliteConnection, type SqliteConnection } from '../../src/store/sqlite-connection.ts'
import { task } from '../conformance/store/subject.ts'

let folder: string
let connection: SqliteConnection
const dialect = sqliteDialect()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-plan-'))
  connection = openSqliteConnection(join(folder, 'ledger.db'), { readOnly: false })
  const run = async <R>(query: CompiledQuery<R>) => connection.run(query)
  await migrate(dialect, run, 1)
  await ledgerWrites(dialect)({ ...askingAll(run), now: 1 }).insertTask(task('t'), [])
})
afterAll(() => {
  connection.close()
  rmSync(folder, { recursive: true })
})

/** The plans of the statements that `ask` sends. */
async function plans(ask: (all: LedgerRead & LedgerWrite) => Promise<unknown>): Promise<string[]> {
  const steps: string[] = []
  const explain = async <R>(query: CompiledQuery<R>) => {
    const explained = connection.run<{ detail: string }>({
      ...query,
      sql: `explain query plan ${query.sql}`,
    } as CompiledQuery<{ detail: string }>)
    steps.push(...explained.rows.map(row => row.detail))
    return connection.run(query)
  }
  const reads = ledgerReads(dialect, explain)
  const writes = ledgerWrites(dialect)({ ...askingAll(explain), now: 1 })
  await ask(Object.assign(writes, reads))
  return steps
}

test.each<[string, RegExp, (all: LedgerRead & LedgerWrite) => Promise<unknown>]>([
  ['claimDue', /INDEX leases_due \(issuer=\? AND due_at<\?\)/, all => all.claimDue('i', 9, 2)],
  [
    'claimDue, choosing',
    /COVERING INDEX leases_due \(issuer=\? AND due_at<\?\)/,
    all => all.claimDue('i', 9, 2),
  ],
  ['issuersDue', /INDEX leases_due \(issuer=\? AND due_at<\?\)/, all => all.issuersDue(1)],
  ['issuersDue, hopping', /INDEX leases_due \(issuer>\?\)/, all => all.issuersDue(1)],
  ['nextDue, leases', /INDEX leases_due \(issuer=\? AND due_at>\?\)/, all => all.nextDue(1)],
  ['nextDue, claims', /INDEX leases_claimed \(claimed_until>\?\)/, all => all.nextDue(1)],
  ['nextDue, deadlines', /INDEX tasks_deadline \(deadline>\?\)/, all => all.nextDue(1)],
  ['nextDue, heartbeats', /INDEX tasks_heartbeat \(heartbeat_due>\?\)/, all => all.nextDue(1)],
  ['tasksPastDeadline', /INDEX tasks_deadline \(deadline<\?\)/, all => all.tasksPastDeadline(1, 9)],
  ['tasksLapsed', /INDEX tasks_heartbeat \(heartbeat_due<\?\)/, all => all.tasksLapsed(1, 0, 9)],
  ['revokeLeasesOf', /INDEX leases_task \(task=\?\)/, all => all.revokeLeasesOf(['t'])],
  ['settleTasks', /INDEX leases_task \(task=\?\)/, all => all.settleTasks(['t'])],
  ['lockDescent', /INDEX task_descendants \(ancestor=\?\)/, all => all.lockDescent('t')],
  ['lockLineage', /PRIMARY KEY \(task=\?\)/, all => all.lockLineage('t', 'share')],
  ['tasksOfWork, run', /INDEX task_works_run \(run_key=\?\)/, all => all.tasksOfWork('r', '', 9)],
  ['tasksOfWork, job', /INDEX task_works_run \(run_key=\? AND job=\?\)/, all => all.tasksOfWork('r', '7', 9)],
  ['activeRuns', /INDEX task_works_run \(run_key>\?\)/, all => all.activeRuns('', 9)],
  ['pendingWorkEnds', /INDEX works_pending/, all => all.pendingWorkEnds(9)],
  ['prune of work', /INDEX works_until \(until<\?\)/, all => all.prune(9)],
  ['taskByToken', /INDEX tasks_token \(token_hash=\?\)/, all => all.taskByToken('h')],
  ['leaseBySecret', /INDEX leases_secret \(secret_sha256=\?\)/, all => all.leaseBySecret('h')],
  ['leaseCounts', /COVERING INDEX leases_due/, all => all.leaseCounts()],
  [
    'revokedInGroup',
    /INDEX leases_group \(issuer=\? AND revocation_group=\? AND <expr>>\?\)/,
    all => all.revokedInGroup('i', 'g', 1, 9),
  ],
  ['claimsDue', /PRIMARY KEY \(name>\? AND name<\?\)/, all => all.claimsDue('group/', 1, 9)],
  ['prune', /INDEX evidence_until \(until<\?\)/, all => all.prune(9)],
  [
    'leases of an agent',
    /COVERING INDEX leases_phase \(agent=\? AND phase=\?\)/,
    all => all.leases({ agent: 'a' }, { limit: 9 }),
  ],
  [
    'minted for agents',
    /INDEX leases_phase \(agent=\? AND phase=\? AND intended_at>\?\)/,
    all => all.minted({ agents: ['a'] }, 1),
  ],
  ['leases', /INDEX leases_intended/, all => all.leases({}, { limit: 9 })],
  ['outstanding leases', /INDEX leases_open/, all => all.leases({ state: 'outstanding' }, { limit: 9 })],
  ['revoking leases', /INDEX leases_open/, all => all.leases({ state: 'revoking' }, { limit: 9 })],
  ['active tasks', /INDEX tasks_open\b/, all => all.tasks({ state: 'active' }, { limit: 9 })],
  ['tasks', /INDEX tasks_opened/, all => all.tasks({}, { limit: 9 })],
  ['tasks of a human', /INDEX tasks_human \(human=\?\)/, all => all.tasks({ human: 'h' }, { limit: 9 })],
  ['claimReceipts', /INDEX receipts_due \(due_at<\?\)/, all => all.claimReceipts(9, 2)],
  ['nextReceiptDue', /INDEX receipts_due/, all => all.nextReceiptDue()],
  ['childReceipts', /INDEX task_descendants \(ancestor=\? AND distance=\?\)/, all => all.childReceipts('t')],
  [
    'claimDeliveries',
    /INDEX deliveries_due \(webhook=\? AND due_at<\?\)/,
    all => all.claimDeliveries('w', 9, 2),
  ],
  ['approvalOf', /INDEX approvals_ask \(ask=\?\)/, all => all.approvalOf('k')],
  ['waiting approvals', /INDEX approvals_/, all => all.approvals({ state: 'pending' }, { limit: 9 })],
  ['expireApprovals', /INDEX approvals_due \(expires_at<\?\)/, all => all.expireApprovals(9)],
  [
    'cancelApprovals',
    /INDEX approvals_pending \(task=\?\)/,
    all => all.cancelApprovals(['t'], { by: 'b', reason: 'r' }),
  ],
  [
    'windows of an agent',
    /INDEX preapprovals_/,
    all => all.preapprovals({ agent: 'a', open: 1 }, { limit: 9 }),
  ],
  ['tasksUnattended', /INDEX check_ins_due \(due_at<\?\)/, all => all.tasksUnattended(1, 9)],
  ['nextDeliveryDue', /INDEX deliveries_due \(webhook=\?\)/, all => all.nextDeliveryDue('w')],
  ['dead deliveries', /INDEX deliveries_dead/, all => all.deliveries({ state: 'dead' }, { limit: 9 })],
  ['prune, deliveries', /INDEX deliveries_done \(done_at<\?\)/, all => all.prune(9)],
  [
    'drills of an issuer',
    /INDEX drills_issuer \(issuer=\?\)/,
    all => all.drills({ issuer: 'i' }, { limit: 9 }),
  ],
  ['audit of a task', /INDEX audit_task \(task=\?\)/, all => all.audit({ task: 't' }, { limit: 9 })],
])('%s is answered from its index', async (_, index, ask) => {
  const steps = await plans(ask)
  expect(steps.join('\n')).toMatch(index)
  const scans = steps.filter(step =>
    /^SCAN (?!open_issuers|due\b|of_phase|line|moments|\(|CONSTANT)/.test(step),
  )
  expect(scans.filter(step => !/USING (COVERING )?INDEX/.test(step))).toEqual([])
})
