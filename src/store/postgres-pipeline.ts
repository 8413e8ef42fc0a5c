/**
 * The statements of one transaction, in their order and in few packets: what is asked at once goes at once, and
 * what nobody asks an answer of waits for whatever is asked next, at the latest for COMMIT.
 */
import type { CompiledQuery } from 'kysely'
import type { Answer, Statement } from './postgres-batch.ts'
import { isAnswer, isPassing, outcomeUnknown, StatementRefused, Unexpected } from './postgres-errors.ts'
import { asksForNul, type PoolClient, sendOn } from './postgres-pool.ts'
import type { Recollections } from './postgres-recall.ts'
import type { Statements } from './postgres-statements.ts'
import { askingAll, type Expect, type Recall, type Run, type Send } from './sql/prepare.ts'

export type Pipeline = {
  run: Run
  send: Send
  expect: Expect
  recall: Recall
  /** Whether the body was told from memory what the database has not confirmed. */
  readonly isSupposing: boolean
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
  query: Statement
  /** Fails as a division by zero where it changes, or finds, nothing. */
  isExpected: boolean
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** @param trusting whether what is expected, and what was so before, is taken for granted. */
export function openPipeline(
  client: PoolClient,
  { kept, recollections }: { kept: Statements; recollections: Recollections },
  { trusting }: { trusting: boolean },
): Pipeline {
  let queue: Entry[] = []
  let isLive = true
  let isScheduled = false
  /** How much of what the body was told from memory the database has not confirmed. */
  let supposed = 0
  let failure: { error: unknown } | undefined

  async function flush(): Promise<void> {
    isScheduled = false
    // What a failed body left behind must not follow its ROLLBACK, outside of any transaction.
    if (!isLive || queue.length === 0) return
    const entries = queue
    queue = []
    let failed = -1
    try {
      const statements = entries.map(({ query }) => query)
      const answers = await sendOn(client, statements, kept, index => (failed = index))
      for (const [index, { resolve }] of entries.entries()) resolve(answers[index]!)
    } catch (thrown) {
      const error = told(thrown, entries[failed])
      failure ??= { error }
      for (const { reject } of entries) reject(error)
    }
  }

  /** @throws where nothing more is taken. */
  function enqueue(query: Statement, isExpected = false): Promise<Answer> {
    if (!isLive) throw new Error('a ledger transaction was used after its body had ended')
    if (failure !== undefined) throw failure.error
    return new Promise((resolve, reject) => queue.push({ query, isExpected, resolve, reject }))
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

  /** A failure is the transaction's: told by whatever is asked next, or at COMMIT. */
  function hold(query: Statement, isExpected: boolean): void {
    enqueue(query, isExpected).catch(() => {})
  }

  return {
    run,
    async send(query) {
      if (queue.length >= heldMax) return run(query)
      hold(query, false)
    },
    async expect(query) {
      if (!trusting || queue.length >= heldMax) return askingAll(run).expect(query)
      hold({ sql: demanding(query), parameters: query.parameters }, true)
      return true
    },
    async recall(query) {
      const known = trusting && queue.length < heldMax ? recollections.of(query) : undefined
      if (known === undefined)
        return recollections.keep(query, (await run(recollections.telling(query))).rows)
      supposed += 1
      enqueue(known.check, true).then(
        () => (supposed -= 1),
        () => {},
      )
      return known.rows
    },
    get isSupposing() {
      return supposed > 0
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
      let failed = entries.length
      try {
        const statements = [...entries.map(({ query }) => query), COMMIT]
        const answers = await sendOn(client, statements, kept, index => (failed = index))
        for (const [index, { resolve }] of entries.entries()) resolve(answers[index]!)
        // A transaction that failed is answered so, and with no error.
        const command = answers.at(-1)?.command
        if (command !== 'COMMIT') throw new Error(`COMMIT was answered with ${command}`)
        return undefined
      } catch (thrown) {
        const refused = told(thrown, entries[failed])
        for (const { reject } of entries) reject(refused)
        const open = failed < entries.length
        if (isPassing(refused) || (open && isAnswer(refused))) return { refused, open }
        throw outcomeUnknown(thrown)
      }
    },
  }
}

const COMMIT: Statement = { sql: 'commit', parameters: [] }

/** The same, failing where nothing was changed, or found: what follows in the packet, COMMIT too, is then not done. */
function demanding({ sql, query }: CompiledQuery): string {
  const rows = query.kind === 'SelectQueryNode' ? sql : `${sql} returning 1`
  return `with "met" as (${rows}) select 1 / count(*) from "met"`
}

function told(error: unknown, entry: Entry | undefined): Error {
  const isUnexpected = error instanceof StatementRefused && error.code === divisionByZero && entry?.isExpected
  return isUnexpected ? new Unexpected('a statement changed nothing') : (error as Error)
}

/** SQLSTATE. */
const divisionByZero = '22012'
