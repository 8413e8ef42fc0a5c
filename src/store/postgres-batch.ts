/**
 * Several statements in one packet, answered by one: they run in their order, and after the first that fails
 * none does. PostgreSQL calls it a pipeline with one Sync
 * (https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). What is handed to the driver is
 * an object with its documented hook `submit`, as its cursors are.
 */
import type { Connection, FieldDef, Submittable } from 'pg'
import type { Column, Known, Statements } from './postgres-statements.ts'

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
  { parserOf, answerMs, kept }: { parserOf: ColumnParser; answerMs: number; kept: Statements },
): Promise<Answer[]> {
  const named = statements.map(statement => toWire(statement, kept))
  return new Promise((resolve, reject) => {
    const callback: Batch['callback'] = (failure, answers) =>
      failure === null ? resolve(answers) : reject(failure)
    client.query(new Batch(named, { parserOf, answerMs, known: kept.knownOn(client), callback }))
  })
}

type Sent = { text: string; name: string | undefined; values: (string | Buffer | null)[] }

/** Before anything is sent: a value that cannot be written must not leave half a batch behind. */
function toWire({ sql, parameters }: Statement, kept: Statements): Sent {
  return { text: sql, name: kept.nameOf(sql), values: parameters.map(valueToWire) }
}

/** The driver calls each handler by its name, for one message of the server at a time. */
class Batch implements Submittable {
  /** The driver's own words: how long it waits, and what it wraps to stop its timer. */
  readonly query_timeout: number
  callback: (failure: BatchFailed | null, answers: Answer[]) => void
  readonly #statements: readonly Sent[]
  readonly #known: Known
  readonly #parserOf: ColumnParser
  readonly #answers: Answer[] = []
  /** Of each statement whose columns are known; the others are asked for them. */
  readonly #expected: (readonly Column[] | undefined)[] = []
  #columns: readonly Column[] = []
  #rows: object[] = []
  #failure: BatchFailed | null = null

  constructor(
    statements: readonly Sent[],
    options: { parserOf: ColumnParser; answerMs: number; known: Known; callback: Batch['callback'] },
  ) {
    this.#statements = statements
    this.#known = options.known
    this.#parserOf = options.parserOf
    this.query_timeout = options.answerMs
    this.callback = options.callback
  }

  submit(connection: Connection): null {
    // The types are those of an older driver, which took a second argument.
    const wire = connection as unknown as Wire
    wire.stream.cork()
    try {
      for (const { text, name, values } of this.#statements) {
        const columns = this.#parse(wire, text, name)
        wire.bind({ values, statement: name })
        // The database runs no statement that was kept and would answer other columns than it did.
        if (columns === undefined) wire.describe({ type: 'P' })
        this.#expected.push(columns)
        wire.execute()
      }
      wire.sync()
    } finally {
      wire.stream.uncork()
    }
    return null
  }

  /** Unless it is kept. @returns the columns of one that is. */
  #parse(wire: Wire, text: string, name: string | undefined): readonly Column[] | undefined {
    const known = name === undefined ? undefined : this.#known.get(name)
    if (known !== undefined && known !== 'perhaps') return known
    // To close what is not there is no error; to parse what is there would be one.
    if (known === 'perhaps') wire.close({ type: 'S', name })
    wire.parse({ text, name })
    if (name !== undefined) this.#known.set(name, 'perhaps')
    return undefined
  }

  handleRowDescription({ fields }: { fields: readonly FieldDef[] }): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#parserOf(dataTypeID) }))
  }

  handleDataRow({ fields }: { fields: readonly (string | null)[] }): void {
    const row: Record<string, unknown> = {}
    const columns = this.#expected[this.#answers.length] ?? this.#columns
    try {
      // A pooler may have another connection run it, to which its table was another.
      if (columns.length !== fields.length) throw new Error('a kept statement answered other columns')
      for (let index = 0; index < fields.length; index += 1) {
        const { name, parse } = columns[index]!
        const text = fields[index]
        row[name] = text == null ? null : parse(text)
      }
    } catch (error) {
      this.#failure ??= new BatchFailed(this.#answers.length, error)
    }
    this.#rows.push(row)
  }

  handleCommandComplete({ text }: { text: string }): void {
    const name = this.#statements[this.#answers.length]?.name
    if (name !== undefined && this.#expected[this.#answers.length] === undefined)
      this.#known.set(name, this.#columns)
    const [command = '', ...figures] = text.split(' ')
    this.#answers.push({ command, rows: this.#rows, changed: Number(figures.at(-1) ?? 0) })
    this.#rows = []
    this.#columns = []
  }

  handleError(error: unknown): void {
    const name = this.#statements[this.#answers.length]?.name
    if (name !== undefined) this.#known.set(name, 'perhaps')
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
  parse(message: { text: string; name: string | undefined }): void
  close(message: { type: 'S'; name: string | undefined }): void
  bind(message: { values: (string | Buffer | null)[]; statement: string | undefined }): void
  describe(message: { type: 'P' }): void
  execute(): void
  sync(): void
}

/** @throws TypeError for what no column of the ledger holds. */
function valueToWire(value: unknown): string | Buffer | null {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return null
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  throw new TypeError(`a statement of the ledger was given a ${typeof value}`)
}
