/**
 * Many transactions, one COMMIT. On an embedded database the disk's sync is most of what a transaction costs,
 * so bodies that arrive together share one: each runs alone, from start to end; whoever fails takes back only
 * what it did; all are answered after COMMIT.
 *
 * Taking back needs a savepoint, for which SQLite keeps a copy of every page that is written: a twentieth of a
 * transaction's cost, for what seldom happens. So a group runs without, and only where a body fails that has
 * already written is all of it rolled back and run again, each body in a savepoint of its own.
 *
 * If COMMIT fails, every member is told that the outcome is not known, the failed ones too: what made one fail
 * may have been another's row that never came to be.
 */
import { LedgerUnavailable } from './ledger.ts'
import type { Run } from './sql/prepare.ts'
import type { SqliteConnection } from './sqlite-connection.ts'

export type GroupConnection = Pick<SqliteConnection, 'run' | 'exec' | 'inTransaction'>

export type GroupCommit = {
  /** @throws LedgerUnavailable; what the body throws; Error where the body waited for anything but the ledger. */
  submit<T>(body: (run: Run) => Promise<T>): Promise<T>
  /** Takes no more, runs what was taken to its end, and resolves. */
  stop(): Promise<void>
}

/** Bounds how long an answer waits for its neighbours, and how much one failed COMMIT undoes. */
const groupMax = 128
/** Turns of the event loop. Measured: under load two of them double the group and halve the syncs. */
const turnsMax = 4
const queuedMax = 10_000

type Outcome = { value: unknown } | { error: unknown }
/** The span of one body: statements run while it is live; the first that fails dooms it, and undoes itself. */
type Scope = { live: boolean; wrote: boolean; failure: { error: unknown } | undefined }
type Member = {
  body: (run: Run) => Promise<unknown>
  answer: (outcome: Outcome) => void
}

/** `onFailure` is told why a group was lost; the members learn only that it was. `onCommit`: of how many there were. */
export function groupCommit(
  connection: GroupConnection,
  onFailure: (error: unknown) => void = () => {},
  onCommit: (members: number) => void = () => {},
): GroupCommit {
  const queue: Member[] = []
  let armed = false
  let stopped = false
  let idle: (() => void) | undefined

  const arm = () => {
    if (armed) return
    armed = true
    setImmediate(gather, 0, 1)
  }
  /** Waits on while each turn of the event loop brings more: they are on their way together. */
  const gather = (before: number, turn: number) => {
    const grows = queue.length > before && queue.length < groupMax && turn < turnsMax
    if (grows) setImmediate(gather, queue.length, turn + 1)
    else void commitNext()
  }
  const commitNext = async () => {
    try {
      const members = queue.splice(0, groupMax)
      if (await commitGroup(connection, members, onFailure)) onCommit(members.length)
    } finally {
      armed = false
      if (queue.length > 0) arm()
      else idle?.()
    }
  }

  return {
    submit<T>(body: (run: Run) => Promise<T>): Promise<T> {
      if (stopped) return Promise.reject(new LedgerUnavailable('the ledger is closed'))
      if (queue.length >= queuedMax) return Promise.reject(new LedgerUnavailable('the ledger is overloaded'))
      return new Promise<T>((resolve, reject) => {
        // The value is what this body returned.
        const answer = (outcome: Outcome) =>
          'error' in outcome ? reject(outcome.error) : resolve(outcome.value as T)
        queue.push({ body, answer })
        arm()
      })
    },
    stop() {
      stopped = true
      return armed ? new Promise(resolve => (idle = resolve)) : Promise.resolve()
    },
  }
}

/** Answers every member, whatever happens. @returns whether the group was committed. */
async function commitGroup(
  connection: GroupConnection,
  members: readonly Member[],
  onFailure: (error: unknown) => void,
): Promise<boolean> {
  let outcomes: Outcome[]
  try {
    connection.exec('BEGIN IMMEDIATE')
    outcomes = (await runBare(connection, members)) ?? (await runGuarded(connection, members))
    connection.exec('COMMIT')
  } catch (cause) {
    const failures = [cause, ...rollBack(connection)]
    const error = new LedgerUnavailable('the ledger could not commit: the outcome is not known', { cause })
    for (const { answer } of members) answer({ error })
    for (const failure of failures) onFailure(failure)
    return false
  }
  for (const [index, { answer }] of members.entries()) answer(outcomes[index]!)
  return true
}

/**
 * Without savepoints, in the transaction that is open. Undefined where a member failed that had written: the
 * transaction is then another, in which nothing has run.
 *
 * @throws where the group as a whole is lost.
 */
async function runBare(
  connection: GroupConnection,
  members: readonly Member[],
): Promise<Outcome[] | undefined> {
  const outcomes: Outcome[] = []
  for (const { body } of members) {
    const { outcome, wrote } = await runMember(connection, body)
    if ('error' in outcome && wrote) {
      connection.exec('ROLLBACK')
      connection.exec('BEGIN IMMEDIATE')
      return undefined
    }
    outcomes.push(outcome)
  }
  return outcomes
}

/** Each member in a savepoint of its own. @throws where the group as a whole is lost. */
async function runGuarded(connection: GroupConnection, members: readonly Member[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const { body } of members) {
    connection.exec('SAVEPOINT member')
    const { outcome } = await runMember(connection, body)
    if ('error' in outcome) connection.exec('ROLLBACK TO member')
    connection.exec('RELEASE member')
    outcomes.push(outcome)
  }
  return outcomes
}

/** @throws where the group as a whole is lost. */
async function runMember(
  connection: GroupConnection,
  body: Member['body'],
): Promise<{ outcome: Outcome; wrote: boolean }> {
  const scope: Scope = { live: true, wrote: false, failure: undefined }
  const outcome = await settle(body, scoped(connection, scope))
  scope.live = false
  // On a full disk or a failed read SQLite may have rolled back the whole transaction by itself.
  if (!connection.inTransaction) throw scope.failure?.error ?? new Error('the transaction was lost')
  return { outcome: scope.failure ?? outcome, wrote: scope.wrote }
}

/**
 * A body that awaits only its transaction ends before the event loop turns, since every statement answers at
 * once. One that is still pending then waits for something else, perhaps for its own group: it is given up.
 */
function settle(body: Member['body'], run: Run): Promise<Outcome> {
  return new Promise(resolve => {
    const turned = setImmediate(() =>
      resolve({ error: new Error('a ledger body awaited something other than its transaction') }),
    )
    const done = (outcome: Outcome) => {
      clearImmediate(turned)
      resolve(outcome)
    }
    // Called inside a promise, so that a body which throws before its first await is a failed body.
    Promise.resolve(run)
      .then(body)
      .then(
        value => done({ value }),
        error => done({ error }),
      )
  })
}

/** Statements of one body. After one has failed no other runs, as on a database that aborts the transaction. */
function scoped(connection: GroupConnection, scope: Scope): Run {
  return async query => {
    if (!scope.live) throw new Error('a ledger transaction was used after its body had ended')
    if (scope.failure !== undefined) throw scope.failure.error
    try {
      const result = connection.run(query)
      if (result.changed > 0 && query.query.kind !== 'SelectQueryNode') scope.wrote = true
      return result
    } catch (error) {
      scope.failure = { error }
      throw error
    }
  }
}

/** Returns what kept it from rolling back. */
function rollBack(connection: GroupConnection): unknown[] {
  try {
    if (connection.inTransaction) connection.exec('ROLLBACK')
    return []
  } catch (error) {
    return [error]
  }
}
