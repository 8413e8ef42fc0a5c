/**
 * Statements that a connection keeps parsed and planned, by name: that is half of what one costs PostgreSQL. A name
 * is the digest of its text, so that no connection, and no pooler in between, can run another text under it.
 */
import { createHash } from 'node:crypto'

export type Column = { name: string; parse: (text: string) => unknown }

/**
 * What a connection has under a name: certainly, with the columns that it answers, or perhaps, since whatever was to
 * make it so failed.
 */
export type Known = Map<string, readonly Column[] | 'perhaps'>

export type Statements = {
  /** Undefined: to be sent without a name. */
  nameOf(sql: string): string | undefined
  knownOn(connection: object): Known
  /** What keeps statements does not keep them for us: none is named from now on. */
  stopNaming(): void
}

/** The broker has some two hundred; each costs every connection tens of kilobytes at the server. */
const namedMax = 300

export function openStatements(): Statements {
  const names = new Map<string, string>()
  const known = new WeakMap<object, Known>()
  let isNaming = true
  return {
    nameOf(sql) {
      if (!isNaming) return undefined
      const name = names.get(sql)
      if (name !== undefined || names.size >= namedMax) return name
      const made = createHash('sha256').update(sql).digest('base64url').slice(0, 32)
      names.set(sql, made)
      return made
    },
    knownOn(connection) {
      const there = known.get(connection) ?? new Map()
      known.set(connection, there)
      return there
    },
    stopNaming() {
      isNaming = false
    },
  }
}
