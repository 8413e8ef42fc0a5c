import { LIMITS } from '../limits.ts'
import { cloudTrailEntry, isCloudTrailRecord } from './cloudtrail.ts'
import { type LogRecord, type ProviderLogEntry, ProviderLogError } from './entry.ts'
import { isRecord } from './fields.ts'
import { githubEntry, isGithubEntry } from './github.ts'

/**
 * What a provider's audit log says, in the order in which it says it. GitHub's audit log and AWS CloudTrail, as
 * JSON lines, as a JSON array, or in CloudTrail's envelopes (`Records` of its files, `Events` of `lookup-events`).
 * Fields that are not known are left alone; an entry that is of neither provider is not.
 *
 * @throws ProviderLogError where it is too large, is not JSON, or holds something else.
 */
export function readProviderLog(text: string): ProviderLogEntry[] {
  if (text.length > LIMITS.providerLogCharacters)
    throw new ProviderLogError(`longer than ${LIMITS.providerLogCharacters} characters; cut it into parts`)
  const entries: ProviderLogEntry[] = []
  for (const { where, value } of documentsOf(text.replace(/^\uFEFF/, ''))) {
    for (const record of recordsOf(value, where)) {
      if (entries.length === LIMITS.providerLogEntries)
        throw new ProviderLogError(`more than ${LIMITS.providerLogEntries} entries; cut it into parts`)
      entries.push(entryOf(record, `${where}, entry ${entries.length + 1}`))
    }
  }
  return entries
}

type Document = { where: string; value: unknown }

/** A whole file where its first line is not a document by itself, otherwise one document a line. */
function* documentsOf(text: string): Generator<Document> {
  const trimmed = text.trim()
  if (trimmed === '') return
  const end = trimmed.indexOf('\n')
  if (end === -1 || parse(trimmed.slice(0, end)) === undefined) {
    const value = parse(trimmed)
    if (value === undefined) throw new ProviderLogError('line 1: not JSON')
    yield { where: 'line 1', value }
    return
  }
  let number = 0
  for (let from = 0; from < text.length; ) {
    const to = text.indexOf('\n', from)
    const line = text.slice(from, to === -1 ? text.length : to).trim()
    from = to === -1 ? text.length : to + 1
    number += 1
    if (line === '') continue
    const value = parse(line)
    if (value === undefined) throw new ProviderLogError(`line ${number}: not JSON`)
    yield { where: `line ${number}`, value }
  }
}

/** An array, an envelope, or one record. */
function* recordsOf(value: unknown, where: string): Generator<LogRecord> {
  if (Array.isArray(value)) {
    for (const one of value as unknown[]) {
      if (!isRecord(one)) throw new ProviderLogError(`${where}: not an object`)
      yield* unwrapped(one, where)
    }
    return
  }
  if (!isRecord(value)) throw new ProviderLogError(`${where}: not an object`)
  if (Array.isArray(value.Records)) yield* recordsOf(value.Records, where)
  else if (Array.isArray(value.Events)) yield* recordsOf(value.Events, where)
  else yield* unwrapped(value, where)
}

/** `lookup-events` answers with the record as a text inside of each event. */
function* unwrapped(record: LogRecord, where: string): Generator<LogRecord> {
  if (typeof record.CloudTrailEvent !== 'string') {
    yield record
    return
  }
  const inner = parse(record.CloudTrailEvent)
  if (!isRecord(inner)) throw new ProviderLogError(`${where}: CloudTrailEvent is not a record`)
  yield inner
}

function entryOf(record: LogRecord, where: string): ProviderLogEntry {
  const entry = isCloudTrailRecord(record)
    ? cloudTrailEntry(record)
    : isGithubEntry(record)
      ? githubEntry(record)
      : undefined
  if (entry === undefined)
    throw new ProviderLogError(`${where}: neither GitHub's audit log nor CloudTrail, or without its time`)
  return entry
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
