/**
 * Several statements in one packet, answered by one: they run in their order, and after the first that fails
 * none does. PostgreSQL calls it a pipeline with one Sync
 * (https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). What is handed to the driver is
 * an object with its documented hook `submit`, as its cursors are.
 */
import type { Connection, FieldDef, Submittable } from 'pg'

export type Statement = { readonly sql: string; readonly parameters: readonly unknown[] }
/** `command` is the first word of what PostgreSQL says was done. */
export type Answer = { command: string; rows: object[]; changed: number }
/** Of one column, from PostgreSQL's text. */
export type ColumnParser = (oid: number) => (text: string) => unknown

/** The statement at `index` was refused, or its answer never came; `cause` is the driver's error. */
export class BatchFailed extends Error {
  override name = 'BatchFailed'
  readonly index: number
  constructor(index: number, cause: unknown) {
    super('a statement failed', { cause })
    this.index = index
  }
}

/** What a connection of the driver and a client of its pool have in common. */
type Client = { query(batch: Submittable): unknown }

/** @throws BatchFailed. The statements before the failed one ran; what they did stands or falls with the transaction. */
export function runBatch(
  client: Client,
  statements: readonly Statement[],
  { parserOf, answerMs }: { parserOf: ColumnParser; answerMs: number },
): Promise<Answer[]> {
  return new Promise((resolve, reject) => {
    client.query(
      new Batch(statements, parserOf, answerMs, (failure, answers) =>
        failure === null ? resolve(answers) : reject(failure),
      ),
    )
  })
}

type Column = { name: string; parse: (text: string) => unknown }

/** The driver calls each handler by its name, for one message of the server at a time. */
class Batch implements Submittable {
  /** The driver's own words: how long it waits, and what it wraps to stop its timer. */
  readonly query_timeout: number
  callback: (failure: BatchFailed | null, answers: Answer[]) => void
  readonly #statements: readonly { text: string; values: (string | Buffer | null)[] }[]
  readonly #parserOf: ColumnParser
  readonly #answers: Answer[] = []
  #columns: Column[] = []
  #rows: object[] = []
  #failure: BatchFailed | null = null

  constructor(
    statements: readonly Statement[],
    parserOf: ColumnParser,
    answerMs: number,
    callback: Batch['callback'],
  ) {
    // Before anything is sent: a value that cannot be written must not leave half a batch behind.
    this.#statements = statements.map(({ sql, parameters }) => ({
      text: sql,
      values: parameters.map(toWire),
    }))
    this.#parserOf = parserOf
    this.query_timeout = answerMs
    this.callback = callback
  }

  submit(connection: Connection): null {
    // The types are those of an older driver, which took a second argument.
    const wire = connection as unknown as Wire
    wire.stream.cork()
    try {
      for (const { text, values } of this.#statements) {
        wire.parse({ text })
        wire.bind({ values })
        wire.describe({ type: 'P' })
        wire.execute()
      }
      wire.sync()
    } finally {
      wire.stream.uncork()
    }
    return null
  }

  handleRowDescription({ fields }: { fields: readonly FieldDef[] }): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#parserOf(dataTypeID) }))
  }

  handleDataRow({ fields }: { fields: readonly (string | null)[] }): void {
    const row: Record<string, unknown> = {}
    try {
      for (const [index, { name, parse }] of this.#columns.entries()) {
        const text = fields[index]
        row[name] = text == null ? null : parse(text)
      }
    } catch (error) {
      this.#failure ??= new BatchFailed(this.#answers.length, error)
    }
    this.#rows.push(row)
  }

  handleCommandComplete({ text }: { text: string }): void {
    const [command = '', ...figures] = text.split(' ')
    this.#answers.push({ command, rows: this.#rows, changed: Number(figures.at(-1) ?? 0) })
    this.#rows = []
  }

  handleError(error: unknown): void {
    this.callback(this.#failure ?? new BatchFailed(this.#answers.length, error), this.#answers)
  }

  handleReadyForQuery(): void {
    this.callback(this.#failure, this.#answers)
  }

  /** No statement of the ledger does any of these. */
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
}

type Wire = {
  stream: { cork(): void; uncork(): void }
  parse(message: { text: string }): void
  bind(message: { values: (string | Buffer | null)[] }): void
  describe(message: { type: 'P' }): void
  execute(): void
  sync(): void
}

/** @throws TypeError for what no column of the ledger holds. */
function toWire(value: unknown): string | Buffer | null {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return null
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  throw new TypeError(`a statement of the ledger was given a ${typeof value}`)
}
