/** Puts tasks with one credential each into a ledger, as they stand after their mint or after their end. */
import { secretHash } from '../src/broker/credentials/lease-plan.ts'
import { taskTokenHash } from '../src/keys/tokens.ts'
import type { Core } from '../src/open-core.ts'
import type { LeaseRow, TaskRow } from '../src/store/rows.ts'

const HOUR_MS = 3_600_000
const BATCH = 500

export type Filling = {
  count: number
  issuer: 'answers' | 'dead'
  /** `active`: the task goes on and nothing is due for an hour. `due`: it ended, and revocation is due. */
  state: 'active' | 'due'
}

/** @returns the ids of the tasks. */
export async function fill(core: Core, filling: Filling): Promise<string[]> {
  const tasks: string[] = []
  for (let from = 0; from < filling.count; from += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, filling.count - from) }, () => rowsOf(core, filling))
    await core.ledger.write(async tx => {
      for (const { task, lease } of rows) {
        await tx.insertTask(task, [])
        await tx.insertLease(lease)
      }
    })
    tasks.push(...rows.map(({ task }) => task.id))
  }
  return tasks
}

function rowsOf({ broker }: Core, { issuer, state }: Filling): { task: TaskRow; lease: LeaseRow } {
  const now = broker.now()
  const id = broker.newId('tsk')
  const lease = broker.newId('lse')
  const ended = state === 'due'
  const secret = broker.newToken('task').reveal()
  const task: TaskRow = {
    ...{
      id,
      parent: null,
      root: id,
      depth: 0,
      agent: `worker-${Math.floor(broker.jitter() * 8)}`,
      system: 0,
    },
    ...{
      agent_digest: '',
      state: ended ? 'ended' : 'active',
      end: ended ? 'completed' : null,
      end_detail: null,
    },
    ...{ purpose: 'is measured', identity: '{}', evidence: null, ticket: null, token_used_at: null },
    ...{ human: null, human_facts: null, bound_key: null, read_only: 0 },
    token_hash: taskTokenHash(broker.keyring, secret),
    ...{ opened_at: now, deadline: now + HOUR_MS, heartbeat_ms: null, heartbeat_due: null },
    ...{ ended_at: ended ? now : null, settled_at: null, mac: 'nobody presents its token' },
  }
  return {
    task,
    lease: {
      ...{ id: lease, task: id, ask_id: broker.newId('ask'), agent: task.agent, issuer, closed_as: null },
      ...{ state: ended ? 'revoking' : 'active', revocability: 'immediate', phase: 'read' },
      granted: '{}',
      ...{
        may_leave_access: 0,
        intended_at: now,
        mint_not_after: now,
        dead_by: now + HOUR_MS,
        active_at: now,
      },
      ...{ expires_at: now + HOUR_MS, provider_expires_at: now + HOUR_MS, revoking_at: ended ? now : null },
      ...{
        due_at: ended ? now : now + HOUR_MS,
        attempts: 0,
        last_error: null,
        fence: 0,
        claimed_until: null,
      },
      sealed_secret: broker.keyring.seal(secret, { row: lease, column: 'sealed_secret' }),
      ...{ secret_sha256: secretHash(secret), revoked_at: null, confirmed_dead_at: null, closed_at: null },
      ...{ revocation_group: null, proof: null },
    },
  }
}
