import { expect, test } from 'vitest'
import { isTokenOf, taskByToken } from '../../src/broker/tasks/task-by-token.ts'
import { newToken } from '../../src/keys/tokens.ts'
import type { Ledger } from '../../src/store/ledger.ts'
import type { TaskRow } from '../../src/store/rows.ts'
import { seededRandom } from '../keys/seeded-random.ts'

const token = newToken('task', Date.UTC(2026, 0), seededRandom('token')).reveal()
const keyring = { tokenHash: (text: string) => `hash of ${text}` }
const kept = {
  now: `${token.slice(4, 12)}.hash of ${token}`,
  before: `hash of ${token}`,
  another: `hash of another`,
}

test.each<[keyof typeof kept, boolean]>([
  ['now', true],
  ['before', true],
  ['another', false],
])('a task whose token is kept as %s is found: %s', async (how, found) => {
  // As much of a broker as finds it.
  const row = { id: 'tsk_1', token_hash: kept[how] } as TaskRow
  const read = { taskByToken: async (hash: string) => (hash === row.token_hash ? row : undefined) }
  const broker = { keyring, ledger: { read } as unknown as Ledger } as Parameters<typeof taskByToken>[0]
  expect(await taskByToken(broker, token)).toBe(found ? row : undefined)
  expect(isTokenOf(broker, row, token)).toBe(found)
})
