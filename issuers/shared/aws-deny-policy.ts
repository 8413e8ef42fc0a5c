/**
 * The inline policies that end single sessions of one role: a Deny of everything for the sessions named in it.
 *
 * `aws:userid` of a session is `<RoleId>:<session name>` and the session name is the lease id, so an entry ends
 * one session and no other (IAM User Guide, "AWS global condition context keys"). `aws:SourceIdentity` says the
 * same a second time, and reaches a session that chained back into this role; it is written where there is room.
 *
 * AWS counts 10,240 characters over all inline policies of a role, white space aside ("IAM and AWS STS quotas"):
 * about 190 sessions at once, fewer where the role has inline policies of its own.
 */

export const ROLE_POLICY_CHARACTERS = 10_240
/** A policy is cut here, and the next one begun: what changes is then written again, and the rest left alone. */
const DOCUMENT_CHARACTERS = 4_000
/** How far AWS's clock and ours may be apart. */
const SKEW_MS = 60_000

export type DeniedSession = { lease: string; issuedBy: number }

export type DenyPlan = {
  /** Policy name and document. Entries stay in the document they are in, so that no session is let go between two writes. */
  policies: ReadonlyMap<string, string>
  /** Leases that no policy ends. */
  left: readonly string[]
}

/**
 * @param current our policies as they are now, by name; entries that are still wanted stay where they are
 * @param sessions who is to be denied, most important first
 * @param room characters for our policies, all together
 */
export function planDenies(
  { prefix, roleId, denyOlder }: { prefix: string; roleId: string; denyOlder: boolean },
  current: ReadonlyMap<string, string>,
  sessions: readonly DeniedSession[],
  room: number,
): DenyPlan {
  const reserved = denyOlder ? denyText('DateLessThan', 'aws:TokenIssueTime', isoSecond(0)).length : 0
  const users = place(
    { prefix: `${prefix}-user-`, key: 'aws:userid', room: room - reserved },
    current,
    sessions.map(({ lease }) => `${roleId}:${lease}`),
  )
  const missing = new Set(users.left.map(value => value.slice(roleId.length + 1)))
  const overflow = sessions.filter(({ lease }) => missing.has(lease))
  const older = denyOlder ? olderThan(overflow, sessions, current.get(`${prefix}-older`)) : undefined
  const sources = place(
    { prefix: `${prefix}-source-`, key: 'aws:SourceIdentity', room: room - reserved - size(users.policies) },
    current,
    sessions.map(({ lease }) => lease),
  )
  return {
    policies: new Map([
      ...users.policies,
      ...(sources.left.length === 0 ? sources.policies : []),
      ...(older === undefined ? [] : [[`${prefix}-older`, older] as const]),
    ]),
    left: denyOlder ? [] : overflow.map(({ lease }) => lease),
  }
}

/** Who is denied now and is none of these sessions. When they were issued is not known: long ago, to be safe. */
export function deniedBesides(
  { prefix, roleId }: { prefix: string; roleId: string },
  current: ReadonlyMap<string, string>,
  sessions: readonly DeniedSession[],
): DeniedSession[] {
  const known = new Set(sessions.map(({ lease }) => lease))
  return [...current]
    .filter(([name]) => name.startsWith(`${prefix}-user-`))
    .flatMap(([, policy]) => conditionValues(policy, 'StringEquals', 'aws:userid'))
    .filter(value => value.startsWith(`${roleId}:`))
    .map(value => value.slice(roleId.length + 1))
    .filter(lease => !known.has(lease))
    .map(lease => ({ lease, issuedBy: 0 }))
}

function place(
  { prefix, key, room }: { prefix: string; key: string; room: number },
  current: ReadonlyMap<string, string>,
  values: readonly string[],
): { policies: Map<string, string>; left: string[] } {
  const wanted = new Set(values)
  const documents = new Map<string, { entries: string[]; length: number }>()
  const text = (entries: readonly string[]) => denyText('StringEquals', key, entries)
  for (const [name, policy] of current) {
    if (!name.startsWith(prefix)) continue
    const entries = conditionValues(policy, 'StringEquals', key).filter(value => wanted.delete(value))
    if (entries.length > 0) documents.set(name, { entries, length: text(entries).length })
  }
  const empty = text([]).length
  let used = [...documents.values()].reduce((sum, { length }) => sum + length, 0)
  const left: string[] = []
  for (const value of wanted) {
    const cost = value.length + 3
    let open = [...documents.values()].find(({ length }) => length + cost <= DOCUMENT_CHARACTERS)
    if (used + cost + (open === undefined ? empty : 0) > room) {
      left.push(value)
      continue
    }
    if (open === undefined) {
      open = { entries: [], length: empty }
      used += empty
      documents.set(freeName(prefix, documents), open)
    }
    open.entries.push(value)
    open.length += cost
    used += cost
  }
  return { policies: new Map([...documents].map(([name, { entries }]) => [name, text(entries)])), left }
}

function freeName(prefix: string, taken: ReadonlyMap<string, unknown>): string {
  let number = 1
  while (taken.has(`${prefix}${number}`)) number += 1
  return `${prefix}${number}`
}

/**
 * Ends every session of the role that was issued before the latest of the overflow, siblings too. It stays while
 * anybody whom it ended may still be alive.
 */
function olderThan(
  overflow: readonly DeniedSession[],
  sessions: readonly DeniedSession[],
  current: string | undefined,
): string | undefined {
  const [before = ''] =
    current === undefined ? [] : conditionValues(current, 'DateLessThan', 'aws:TokenIssueTime')
  const standing = Date.parse(before)
  const stays = sessions.some(({ issuedBy }) => issuedBy < standing)
  const moment = Math.max(...overflow.map(({ issuedBy }) => issuedBy + SKEW_MS), stays ? standing : 0)
  return moment > 0 ? denyText('DateLessThan', 'aws:TokenIssueTime', isoSecond(moment)) : undefined
}

function denyText(operator: string, key: string, value: string | readonly string[]): string {
  const statement = {
    Effect: 'Deny',
    Action: '*',
    Resource: '*',
    Condition: { [operator]: { [key]: value } },
  }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

/** What a document of ours lists; nothing where it is not one any more. */
function conditionValues(text: string, operator: string, key: string): string[] {
  try {
    const value: unknown = JSON.parse(text).Statement[0].Condition[operator][key]
    return [value].flat().filter(one => typeof one === 'string')
  } catch {
    return []
  }
}

/** As AWS counts: without white space. */
export function policyCharacters(text: string): number {
  return text.replace(/\s/g, '').length
}

function size(policies: ReadonlyMap<string, string>): number {
  return [...policies.values()].reduce((sum, text) => sum + text.length, 0)
}

/** `2026-01-31T12:00:00Z`, the next whole second. */
function isoSecond(ms: number): string {
  return new Date(Math.ceil(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}
