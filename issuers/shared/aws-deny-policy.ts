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
 * @param kept who is denied now and stays so where these leave room, the least important first; and with them whoever
 * is denied by time. Absent: nobody
 * @param room characters for our policies, all together
 */
export function planDenies(
  { prefix, roleId, denyOlder }: { prefix: string; roleId: string; denyOlder: boolean },
  current: ReadonlyMap<string, string>,
  { sessions, kept }: { sessions: readonly DeniedSession[]; kept?: readonly DeniedSession[] | undefined },
  room: number,
): DenyPlan {
  const reserved = denyOlder ? denyText('DateLessThan', 'aws:TokenIssueTime', isoSecond(0)).length : 0
  const all = [...sessions, ...(kept ?? [])]
  const userId = ({ lease }: DeniedSession) => `${roleId}:${lease}`
  const users = place(
    { prefix: `${prefix}-user-`, key: 'aws:userid', room: room - reserved },
    current,
    sessions.map(userId),
    kept?.map(userId),
  )
  const missing = new Set(users.left.map(value => value.slice(roleId.length + 1)))
  const overflow = all.filter(({ lease }) => missing.has(lease))
  const standing = standingOlder(current.get(`${prefix}-older`))
  const stays = kept !== undefined || sessions.some(({ issuedBy }) => issuedBy < standing)
  const older = denyOlder ? olderThan(overflow, stays ? standing : 0) : undefined
  const sources = place(
    { prefix: `${prefix}-source-`, key: 'aws:SourceIdentity', room: room - reserved - size(users.policies) },
    current,
    all.map(({ lease }) => lease),
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

/** The leases that are denied by name now and are none of these sessions. */
export function deniedBesides(
  { prefix, roleId }: { prefix: string; roleId: string },
  current: ReadonlyMap<string, string>,
  sessions: readonly DeniedSession[],
): string[] {
  const known = new Set(sessions.map(({ lease }) => lease))
  return [...current]
    .filter(([name]) => name.startsWith(`${prefix}-user-`))
    .flatMap(([, policy]) => conditionValues(policy, 'StringEquals', 'aws:userid'))
    .filter(value => value.startsWith(`${roleId}:`))
    .map(value => value.slice(roleId.length + 1))
    .filter(lease => !known.has(lease))
}

/** @param spare of what is there, what gives way to `values` where room is short, the first of it first */
function place(
  { prefix, key, room }: { prefix: string; key: string; room: number },
  current: ReadonlyMap<string, string>,
  values: readonly string[],
  spare: readonly string[] = [],
): { policies: Map<string, string>; left: string[] } {
  const wanted = new Set([...values, ...spare])
  const documents = new Map<string, { entries: string[]; length: number }>()
  const text = (entries: readonly string[]) => denyText('StringEquals', key, entries)
  const hold = (name: string, entries: string[]) => {
    if (entries.length > 0) documents.set(name, { entries, length: text(entries).length })
    else documents.delete(name)
  }
  for (const [name, policy] of current) {
    if (!name.startsWith(prefix)) continue
    const entries = conditionValues(policy, 'StringEquals', key)
    hold(
      name,
      entries.filter(value => wanted.delete(value)),
    )
  }
  const empty = text([]).length
  const add = (value: string): boolean => {
    const cost = value.length + 3
    const used = [...documents.values()].reduce((sum, { length }) => sum + length, 0)
    const open = [...documents.values()].find(({ length }) => length + cost <= DOCUMENT_CHARACTERS)
    if (used + cost + (open === undefined ? empty : 0) > room) return false
    if (open === undefined)
      documents.set(freeName(prefix, documents), { entries: [value], length: empty + cost })
    else {
      open.entries.push(value)
      open.length += cost
    }
    return true
  }
  const takeOut = (value: string) => {
    for (const [name, { entries }] of documents) {
      const rest = entries.filter(entry => entry !== value)
      if (rest.length < entries.length) hold(name, rest)
    }
  }
  const giving = [...spare]
  const left: string[] = []
  for (const value of wanted)
    while (!add(value)) {
      const out = giving.shift() ?? value
      left.push(out)
      if (out === value) break
      takeOut(out)
    }
  return { policies: new Map([...documents].map(([name, { entries }]) => [name, text(entries)])), left }
}

function freeName(prefix: string, taken: ReadonlyMap<string, unknown>): string {
  let number = 1
  while (taken.has(`${prefix}${number}`)) number += 1
  return `${prefix}${number}`
}

/** Ends every session of the role that was issued before the latest of the overflow, siblings too. */
function olderThan(overflow: readonly DeniedSession[], standing: number): string | undefined {
  const moment = Math.max(standing, ...overflow.map(({ issuedBy }) => issuedBy + SKEW_MS))
  return moment > 0 ? denyText('DateLessThan', 'aws:TokenIssueTime', isoSecond(moment)) : undefined
}

/** Before when sessions are denied by time now. Epoch ms; 0: none. */
function standingOlder(policy: string | undefined): number {
  const [before = ''] =
    policy === undefined ? [] : conditionValues(policy, 'DateLessThan', 'aws:TokenIssueTime')
  return Date.parse(before) || 0
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
