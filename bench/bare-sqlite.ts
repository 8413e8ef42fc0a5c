/** Four rows for each request on node:sqlite, with the broker's durability and no index but the primary keys. */
import { DatabaseSync } from 'node:sqlite'
import type { Commit, Row } from './bare.ts'

export async function openBareSqlite(file: string): Promise<{ each(): Commit; grouped(): Commit }> {
  const database = new DatabaseSync(file)
  database.exec(`
    pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 8000;
    create table evidence (id text primary key not null, task text not null, at integer not null)
      strict, without rowid;
    create table tasks (id text primary key not null, agent text not null, token_hash text not null,
      at integer not null) strict;
    create table leases (id text primary key not null, task text not null, ask text not null,
      at integer not null) strict;
    create table audit (seq integer primary key, at integer not null, event text not null, data text) strict;
  `)
  const evidence = database.prepare('insert into evidence values (?, ?, ?)')
  const tasks = database.prepare('insert into tasks values (?, ?, ?, ?)')
  const leases = database.prepare('insert into leases values (?, ?, ?, ?)')
  const audit = database.prepare('insert into audit (at, event, data) values (?, ?, ?)')

  function commit(rows: readonly Row[]): void {
    database.exec('begin immediate')
    for (const row of rows) {
      evidence.run(row.evidence, row.task, row.at)
      tasks.run(row.task, row.agent, row.token, row.at)
      leases.run(row.task, row.task, row.ask, row.at)
      audit.run(row.at, 'exchanged', JSON.stringify({ task: row.task }))
    }
    database.exec('commit')
  }

  return {
    each: () => async row => commit([row]),
    grouped() {
      let waiting: { row: Row; answer: () => void }[] = []
      const run = () => {
        const group = waiting
        waiting = []
        commit(group.map(({ row }) => row))
        for (const { answer } of group) answer()
      }
      return row =>
        new Promise(answer => {
          if (waiting.length === 0) setImmediate(run)
          waiting.push({ row, answer })
        })
    },
  }
}
