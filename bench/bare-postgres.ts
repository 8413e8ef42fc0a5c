/** Four rows for each request on PostgreSQL, with the broker's durability and no index but the primary keys. */
import { Client, Pool } from 'pg'
import type { Commit, Row } from './bare.ts'

/** As many as a broker opens where nothing is said of it. */
const CONNECTIONS = 24

type Queryable = { query(text: string, values?: unknown[]): Promise<unknown> }

export async function openBarePostgres(url: string): Promise<{ each(): Commit; grouped(): Commit }> {
  const creator = new Client(url)
  await creator.connect()
  await creator.query(`
    create table evidence (id text primary key not null, task text not null, at bigint not null);
    create table tasks (id text primary key not null, agent text not null, token_hash text not null,
      at bigint not null);
    create table leases (id text primary key not null, task text not null, ask text not null,
      at bigint not null);
    create table audit (seq bigint generated always as identity primary key, at bigint not null,
      event text not null, data text);
  `)
  await creator.end()
  return { each: () => commitEach(url), grouped: () => commitGrouped(url) }
}

/** Transactions of several connections are under way at once: PostgreSQL writes their commits together. */
function commitEach(url: string): Commit {
  const pool = new Pool({ connectionString: url, max: CONNECTIONS })
  return async row => {
    const client = await pool.connect()
    await client.query('begin')
    for (const query of inserts(row)) await client.query(...query)
    await client.query('commit')
    client.release()
  }
}

/** One transaction after another, each with all that waits, and nothing in it waits for an answer. */
function commitGrouped(url: string): Commit {
  const client = new Client({ connectionString: url, pipeline: true })
  const connected = client.connect()
  let waiting: { row: Row; answer: () => void }[] = []
  let running = false
  async function run(): Promise<void> {
    await connected
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      await commitAll(
        client,
        group.map(({ row }) => row),
      )
      for (const { answer } of group) answer()
    }
    running = false
  }
  return row =>
    new Promise((answer, reject) => {
      waiting.push({ row, answer })
      if (running) return
      running = true
      setImmediate(() => void run().catch(reject))
    })
}

async function commitAll(client: Queryable, rows: readonly Row[]): Promise<void> {
  await Promise.all([
    client.query('begin'),
    ...rows.flatMap(row => inserts(row).map(query => client.query(...query))),
    client.query('commit'),
  ])
}

function inserts(row: Row): [text: string, values: unknown[]][] {
  return [
    ['insert into evidence values ($1, $2, $3)', [row.evidence, row.task, row.at]],
    ['insert into tasks values ($1, $2, $3, $4)', [row.task, row.agent, row.token, row.at]],
    ['insert into leases values ($1, $2, $3, $4)', [row.task, row.task, row.ask, row.at]],
    [
      'insert into audit (at, event, data) values ($1, $2, $3)',
      [row.at, 'exchanged', JSON.stringify({ task: row.task })],
    ],
  ]
}
