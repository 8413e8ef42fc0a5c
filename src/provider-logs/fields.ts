/** Fields of records that others wrote: read by name, cut to size, anything unexpected is absent. */
import { LIMITS } from '../limits.ts'
import type { LogRecord } from './entry.ts'

export function isRecord(value: unknown): value is LogRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The text or number of this name. Only the record's own: a log may name a field `constructor`. */
export function textOf(record: LogRecord, name: string): string | undefined {
  if (!Object.hasOwn(record, name)) return undefined
  const value = record[name]
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (typeof value !== 'string' || value === '') return undefined
  return value.slice(0, LIMITS.providerLogFieldCharacters)
}

/** The object of this name; an empty one where there is none. */
export function recordOf(record: LogRecord, name: string): LogRecord {
  const value = Object.hasOwn(record, name) ? record[name] : undefined
  return isRecord(value) ? value : {}
}

/** The first of these names that says something. */
export function firstOf(record: LogRecord, names: readonly string[]): string | undefined {
  for (const name of names) {
    const text = textOf(record, name)
    if (text !== undefined) return text
  }
  return undefined
}

/** Leaves out what is undefined, so that an entry has a field or has it not. */
export function present<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}

/** Epoch ms of a number of them, or of an ISO 8601 text; undefined where it is neither. */
export function momentOf(value: unknown): number | undefined {
  const at = typeof value === 'string' ? Date.parse(value) : value
  return typeof at === 'number' && Number.isFinite(at) ? Math.floor(at) : undefined
}
