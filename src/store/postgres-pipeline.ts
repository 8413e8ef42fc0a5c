/**
 * The statements of one transaction, in their order and in few packets: what is asked at once goes at once, and
 * what nobody asks an answer of waits for whatever is asked next, at the latest for COMMIT.
 */
import type { CompiledQuery } from 'kysely'
import { LedgerUnavailable } from './ledger.ts'
import { type Answer, BatchFailed, runBatch, type Statement } from './postgres-batch.ts'
import { isAnswer, isPassing, outcomeUnknown, toLedgerError } from './postgres-errors.ts'
import { asksForNul, POSTGRES_LIMITS, type PoolClient, parserOf } from './postgres-pool.ts'
import type { Run, Send } from './sql/prepare.ts'

export type Pipeline = {
  run: Run
  send: Send
  /** The first failure: no statement runs after it. */
  readonly failure: { error: unknown } | undefined
  /** No statement is taken from now on. */
  close(): void
  /**
   * Sends what is held, and COMMIT behind it. `refused`: the database did not commit, and says so, after a
   * statement (`open`: the transaction is still to be rolled back) or at COMMIT.
   *
   * @throws LedgerUnavailable where nobody knows.
   */
  commit(): Promise<{ refused: Error; open: boolean } | undefined>
}

/** Bounds what one transaction keeps in memory before the database has heard of it. */
const heldMax = 64

type Entry = {
  query: CompiledQuery
  resolve(answer: Answer): void
  reject(error: unknown): void
}

export function openPipeline(client: PoolClient): Pipeline {
  let queue: Entry[] = []
  let isLive = true
  let isScheduled = false
  let failure: { error: unknown } | undefined

  const exchange = (statements: readonly Statement[]) =>
    runBatch(client, statements, { parserOf, answerMs: POSTGRES_LIMITS.answerMs })

  async function flush(): Promise<void> {
    isScheduled = false
    // What a failed body left behind must not follow its ROLLBACK, outside of any transaction.
    if (!isLive || queue.length === 0) return
    const entries = queue
    queue = []
    try {
      const answers = await exchange(entries.map(({ query }) => query))
      for (const [index, { resolve }] of entries.entries()) resolve(answers[index]!)
    } catch (thrown) {
      const error = toLedgerError(causeOf(thrown))
      failure ??= { error }
      for (const { reject } of entries) reject(error)
    }
  }

  /** @throws where nothing more is taken. */
  function enqueue(query: CompiledQuery): Promise<Answer> {
    if (!isLive) throw new Error('a ledger transaction was used after its body had ended')
    if (failure !== undefined) throw failure.error
    return new Promise((resolve, reject) => queue.push({ query, resolve, reject }))
  }

  const run: Run = async <R>(query: CompiledQuery<R>) => {
    if (asksForNul(query)) return { rows: [], changed: 0 }
    const answer = enqueue(query)
    if (!isScheduled) queueMicrotask(flush)
    isScheduled = true
    const { rows, changed } = await answer
    // The driver cannot know the row's type; the query does.
    return { rows: rows as R[], changed }
  }

  return {
    run,
    async send(query) {
      if (queue.length >= heldMax) return run(query)
      // Its failure is the transaction's: told by whatever is asked next, or at COMMIT.
      enqueue(query).catch(() => {})
    },
    get failure() {
      return failure
    },
    close() {
      isLive = false
    },
    async commit() {
      const entries = queue
      queue = []
      try {
        const answers = await exchange([...entries.map(({ query }) => query), COMMIT])
        for (const [index, { resolve }] of entries.entries()) resolve(answers[index]!)
        // A transaction that failed is answered so, and with no error.
        const command = answers.at(-1)?.command
        if (command !== 'COMMIT') throw new Error(`COMMIT was answered with ${command}`)
        return undefined
      } catch (thrown) {
        const refused = toLedgerError(causeOf(thrown))
        for (const { reject } of entries) reject(refused)
        const open = thrown instanceof BatchFailed && thrown.index < entries.length
        if (isPassing(refused) || (open && isAnswer(refused))) return { refused, open }
        throw outcomeUnknown(refused instanceof LedgerUnavailable ? refused : thrown)
      }
    },
  }
}

const COMMIT: Statement = { sql: 'commit', parameters: [] }

function causeOf(thrown: unknown): unknown {
  return thrown instanceof BatchFailed ? thrown.cause : thrown
}
