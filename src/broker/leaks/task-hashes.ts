import { createHmac } from 'node:crypto'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { printOf } from './secret-prints.ts'

export type TaskHashes = {
  task: string
  /** Of this answer alone, so that its hashes are good for nothing elsewhere. 64 hex digits. */
  key: string
  hashes: {
    lease: string
    /** The member of a credential of several parts; empty where it is one text. */
    part: string
    bytes: number
    /** The rolling print of its bytes. */
    print: number
    /** HMAC-SHA-256 under the key, of the SHA-256 of its bytes; hex. */
    hmac: string
  }[]
  /** Leases whose credentials are JWTs that name them in `jti`. */
  named: string[]
}

/** What the holder of a task needs to know its own credentials again wherever they stand. Of no other task's. */
export async function taskHashes(broker: Broker, task: TaskRow): Promise<TaskHashes> {
  const { ledger, keyring, limits } = broker
  // Of randomness nobody else sees: two answers within one millisecond have two keys.
  const key = keyring.tokenHash(`hashes ${task.id} ${broker.newToken('task').reveal()}`)
  const prints = await ledger.read.printsOf(task.id)
  const { items } = await ledger.read.leases({ task: task.id }, { limit: limits.credentialsPerTask + 1 })
  return {
    task: task.id,
    key,
    hashes: prints.map(row => ({
      ...{ lease: row.lease, part: row.part, bytes: row.chars, print: printOf(keyring, row) },
      hmac: createHmac('sha256', Buffer.from(key, 'hex'))
        .update(Buffer.from(row.sha256, 'hex'))
        .digest('hex'),
    })),
    named: items.filter(lease => lease.revocability === 'introspected').map(lease => lease.id),
  }
}
