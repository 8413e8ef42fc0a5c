/** Agents: the declared ones, and the row that opening and suspending contend for. */
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite, Lock } from '../ledger.ts'
import type { AgentRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Transaction } from './prepare.ts'

export type AgentWrites = Pick<LedgerWrite, 'putAgent' | 'lockAgent'>

export function agentWrites({ db, lock }: SqlDialect): (tx: Transaction) => AgentWrites {
  const put = prepare((row: AgentRow) =>
    db
      .insertInto('agents')
      .values(pick(row, columns.agents))
      .onConflict(conflict =>
        conflict.column('name').doUpdateSet({
          digest: row.digest,
          document: row.document,
          status: row.status,
          updated_at: row.updated_at,
          mac: row.mac,
        }),
      ),
  )
  const locked = (mode: Lock) =>
    prepare((p: { name: string }) =>
      lock(db.selectFrom('agents').selectAll().where('name', '=', p.name), mode, 'agents'),
    )
  const byLock = { share: locked('share'), update: locked('update') }

  return ({ run }) => ({
    async putAgent(row) {
      await run(put(row))
    },
    async lockAgent(name, mode) {
      return (await run(byLock[mode]({ name }))).rows[0]
    },
  })
}
