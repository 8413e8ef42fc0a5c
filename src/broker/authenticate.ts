import type { Secret } from '../../issuers/shared/secret.ts'
import { parseToken, type TokenKind } from '../keys/tokens.ts'
import type { OperatorTokenRow, TaskRow } from '../store/rows.ts'
import { demandKey, type HeldKeys } from './bound/held-keys.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { usedUpBy } from './tasks/claim-evidence.ts'
import { isOfBefore } from './tasks/restored.ts'
import { taskByToken } from './tasks/task-by-token.ts'
import { verifiedOperator, verifiedTask } from './verified-rows.ts'

/**
 * The task a token stands for, ended or not: reading how it ended stays possible. Its first use is written
 * down, since an answer that was used was not lost.
 *
 * @param held the keys that were shown with it. @throws BrokerError `unauthenticated`, the same for unknown, malformed
 * and foreign tokens; `key_not_proven`
 */
export async function authenticateTask(broker: Broker, token: Secret, held: HeldKeys = {}): Promise<TaskRow> {
  const row = await find(token, 'task', text => taskByToken(broker, text))
  const task = verifiedTask(broker, row)
  demandKey(task, held)
  if (task.token_used_at === null)
    await broker.ledger.write(async tx => {
      await tx.markTokenUsed(task.id)
      // Where another task took its place, its answer was not lost after all: nothing takes that one's place.
      for (const id of usedUpBy(task)) await tx.spendEvidence(id, task.id)
    })
  return task
}

/** @throws BrokerError `unauthenticated`. */
export async function authenticateOperatorToken(broker: Broker, token: Secret): Promise<OperatorTokenRow> {
  const row = await find(token, 'operator', text =>
    broker.ledger.read.operatorByToken(broker.keyring.tokenHash(text)),
  )
  const { created_at, expires_at } = verifiedOperator(broker, row)
  if (expires_at > (await broker.ledger.now()) && !(await isOfBefore(broker, created_at))) return row
  throw new BrokerError(
    'unauthenticated',
    'the operator token is past its time, or of before the ledger was restored; make one with: mayfly operator init',
  )
}

async function find<Row>(
  token: Secret,
  kind: TokenKind,
  read: (text: string) => Promise<Row | undefined>,
): Promise<Row> {
  const text = token.reveal()
  const row = parseToken(text)?.kind === kind ? await read(text) : undefined
  if (row !== undefined) return row
  throw new BrokerError('unauthenticated', `a valid ${kind} token is needed`)
}
