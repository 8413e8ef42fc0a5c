/**
 * Leases that a provider ends together, by one document for many (the policy of an AWS role). The document is
 * always the whole one, computed from the ledger: writing it again changes nothing, whoever was left out comes
 * in, and whoever is past its life falls out. A claim in the ledger lets one broker at a time write it, and
 * keeps it from being written more than once in a while, so that a burst of ends costs few writes.
 */
import type { GroupMember, Issuer } from '../../../issuers/issuer.ts'
import { record } from '../../audit/record.ts'
import type { ClaimRow, LeaseRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { groupClaim, groupOf } from '../group-claim.ts'
import { keepForgotten } from './keep-forgotten.ts'
import { failed, later, lifeEnd, lookAt, type ReapOutcome, startRevoking } from './reap-lease.ts'

/** Starts `run` once after `ms`; the returned function takes it back. */
type Schedule = (ms: number, run: () => void) => () => void

/**
 * Of the claimed leases, ends those that are members of a group and were not told of yet.
 * @returns who goes on to be reaped singly (to proof, or as what it is), and what came of the groups.
 */
export async function revokeInGroups(
  broker: Broker,
  name: string,
  due: readonly LeaseRow[],
  schedule: Schedule,
): Promise<{ onward: LeaseRow[]; outcomes: ReapOutcome[] }> {
  const issuer = broker.issuers.get(name)
  if (issuer?.revokeGroup === undefined) return { onward: [...due], outcomes: [] }
  const now = await broker.ledger.now()
  const onward: LeaseRow[] = []
  const groups = new Map<string, LeaseRow[]>()
  for (const lease of due) {
    const group = waitingGroup(broker, lease, now)
    if (group === null) onward.push(lease)
    else groups.set(group, [...(groups.get(group) ?? []), lease])
  }
  const ended = await Promise.all(
    [...groups].map(([group, leases]) =>
      endTogether(broker, issuer, groupClaim(name, group), leases, schedule),
    ),
  )
  for (const { told } of ended) onward.push(...told)
  return { onward, outcomes: ended.flatMap(({ outcome }) => outcome ?? []) }
}

/** The group whose document must name this lease before anything else can be done for it. */
function waitingGroup(broker: Broker, lease: LeaseRow, now: number): string | null {
  const isEnding = lease.state === 'revoking' || (lease.state === 'active' && now >= lease.expires_at)
  if (!isEnding || lease.revoked_at !== null || lease.revocability === 'expiry_only') return null
  return now < lifeEnd(broker, lease) ? lease.revocation_group : null
}

type Ended = { told: LeaseRow[]; outcome?: ReapOutcome }

async function endTogether(
  broker: Broker,
  issuer: Issuer,
  document: string,
  claimed: readonly LeaseRow[],
  schedule: Schedule,
): Promise<Ended> {
  const now = await broker.ledger.now()

  // 1. A promise that fell due while the task goes on is kept like any other end.
  const started = await Promise.all(
    claimed.map(lease => (lease.state === 'active' ? startRevoking(broker, lease) : lease)),
  )
  const ending = started.filter(lease => lease !== undefined)

  // 2. Whoever was never seen at work is looked at once more, for a bounded time: the end does not wait for it.
  if (ending.length === 0) return { told: [] }
  const leases = await lookBefore(broker, ending, schedule)

  // 3. The document.
  let written: Written
  try {
    written = await writeDocument(broker, issuer, document)
  } catch (cause) {
    await Promise.all(leases.map(lease => failed(broker, lease, now, cause)))
    return { told: [], outcome: 'provider_down' }
  }

  // 4. Told: on to proof. Not told: another broker is at it, or there is no room.
  const told = leases.filter(lease => written.told.has(lease.id))
  const waiting = leases.filter(lease => !written.told.has(lease.id))
  const { at, because: last_error } = written
  await Promise.all(waiting.map(lease => later(broker, lease, { due_at: written.againAt, last_error })))
  return {
    told: told.map(lease => ({ ...lease, revoked_at: at, last_error: null })),
    ...(written.isAsked && { outcome: 'later' as const }),
  }
}

/** In lanes, and no longer than a moment in all: what answers later is lost, and the document goes out. */
async function lookBefore(
  broker: Broker,
  leases: readonly LeaseRow[],
  schedule: Schedule,
): Promise<LeaseRow[]> {
  const seen = new Map<string, string>()
  const queue = leases.filter(lease => lease.proof === null && lease.sealed_secret !== null).values()
  let isOver = false
  const lane = async () => {
    for (let next = queue.next(); !next.done && !isOver; next = queue.next()) {
      const proof = await lookAt(broker, next.value)
      if (proof !== null) seen.set(next.value.id, proof)
    }
  }
  const lanes = Math.min(leases.length, broker.limits.reaperConcurrencyPerIssuer)
  let cancel = () => {}
  const time = new Promise<void>(resolve => {
    cancel = schedule(broker.limits.lookBeforeEndMs, resolve)
  })
  await Promise.race([Promise.all(Array.from({ length: lanes }, lane)), time])
  isOver = true
  cancel()
  return leases.map(lease => ({ ...lease, proof: lease.proof ?? seen.get(lease.id) ?? null }))
}

/**
 * `told`: members that the document names. Whoever is not among them is to come again at `againAt`, and why.
 * `isAsked`: whether the provider was spoken to at all.
 */
type Written = { isAsked: boolean; told: ReadonlySet<string>; at: number; againAt: number; because: string }

/** One pass over one group's document, if no other broker is at it. @throws what the issuer threw */
async function writeDocument(broker: Broker, issuer: Issuer, name: string): Promise<Written> {
  const { ledger, limits } = broker
  const { issuer: instance, group } = groupOf(name)
  const now = await ledger.now()

  // 1. One writer, whichever broker; a claim that is paused is one whose document was written just now.
  const claim = await ledger.write(tx => tx.takeClaim(name, now + limits.groupClaimMs))
  if (claim === undefined) {
    const againAt = (await ledger.read.claim(name))?.claimed_until ?? now + limits.groupPauseMs
    return { isAsked: false, told: new Set(), at: now, againAt, because: 'its group is being written' }
  }

  // 2. Everybody who was taken back and may still be alive.
  const since = now - limits.clockSkewMs
  const members = await ledger.read.revokedInGroup(instance, group, since, limits.groupMembers)
  const keep = await keepForgotten(broker)
  if (members.length === limits.groupMembers) {
    const message = 'more members are being ended together than one pass takes'
    broker.log.error({ alarm: 'group_too_large', issuer: instance, group, members: members.length }, message)
  }

  // 3. The provider. What it was told stands whatever becomes of this process: the next pass finds it.
  const until = now + limits.groupClaimMs - limits.providerDeadlineMs
  let outcome: Awaited<ReturnType<NonNullable<Issuer['revokeGroup']>>>
  try {
    outcome = (await issuer.revokeGroup?.(group, members.map(memberOf), until, keep)) ?? { left: [] }
  } catch (cause) {
    await giveBack(broker, claim, now + limits.groupRetryMs)
    throw cause
  }
  return noteWritten(broker, claim, { members, isKeeping: keep !== undefined }, outcome)
}

async function noteWritten(
  broker: Broker,
  claim: ClaimRow,
  { members, isKeeping }: { members: readonly LeaseRow[]; isKeeping: boolean },
  { left, because = 'the provider has no room for it now' }: { left: readonly string[]; because?: string },
): Promise<Written> {
  const { ledger, limits } = broker
  const { issuer, group } = groupOf(claim.name)
  const out = new Set(left)
  const ids = members.map(({ id }) => id)
  const told = new Set(ids.filter(id => !out.has(id)))
  const waiting = ids.filter(id => out.has(id))
  const at = await ledger.now()
  const againAt = at + limits.groupUpkeepMs
  const soonest = Math.min(...members.map(lease => lifeEnd(broker, lease)))
  const due_at =
    members.length === 0 && !isKeeping
      ? null
      : Math.max(at + limits.groupPauseMs, Math.min(againAt, soonest + 1))
  await ledger.write(async tx => {
    for (const row of await tx.noteRevoked([...told], at)) {
      const subject = { actor: 'broker', task: row.task, agent: row.agent, lease: row.id }
      await record(tx, 'lease.revoked', subject, { group })
    }
    await tx.deferLeases(waiting, { due_at: againAt, last_error: because })
    const isOurs = await tx.giveClaim(claim.name, claim.fence, {
      pausedUntil: at + limits.groupPauseMs,
      due_at,
    })
    // Slower than its claim: another may have written meanwhile, and this one over it. The next pass compares.
    if (!isOurs) await tx.wakeClaim(claim.name)
  })
  if (out.size > 0) {
    const fields = { alarm: 'group_full', issuer, group, left: out.size, told: told.size }
    broker.log.error(fields, `credentials are not ended before they expire: ${because}`)
  }
  return { isAsked: true, told, at, againAt, because }
}

/**
 * A group whose document is due: somebody in it is past its life, or it was not looked at for a while, or a
 * broker that held it never came back. Undefined: the provider was not asked.
 */
export async function keepGroup(broker: Broker, name: string): Promise<ReapOutcome | undefined> {
  const { issuer: instance, group } = groupOf(name)
  const issuer = broker.issuers.get(instance)
  if (issuer?.revokeGroup === undefined) {
    const now = await broker.ledger.now()
    const claim = await broker.ledger.write(tx => tx.takeClaim(name, now + broker.limits.groupClaimMs))
    if (claim !== undefined) await giveBack(broker, claim, now + broker.limits.groupUpkeepMs)
    const fields = { alarm: 'issuer_missing', issuer: instance, group }
    broker.log.error(fields, 'no issuer is configured here that keeps the document of this group')
    return undefined
  }
  try {
    const { isAsked, told } = await writeDocument(broker, issuer, name)
    if (!isAsked) return undefined
    return told.size > 0 ? 'later' : 'closed'
  } catch (cause) {
    broker.log.warn({ issuer: instance, group, err: cause }, 'the document of a group could not be kept')
    return 'provider_down'
  }
}

/** The work stays due. */
async function giveBack(broker: Broker, claim: ClaimRow, due_at: number): Promise<void> {
  await broker.ledger.write(async tx => {
    if (!(await tx.giveClaim(claim.name, claim.fence, { pausedUntil: null, due_at })))
      await tx.wakeClaim(claim.name)
  })
}

function memberOf(lease: LeaseRow): GroupMember {
  return {
    lease: lease.id,
    ask: JSON.parse(lease.granted) as unknown,
    issuedBy: lease.active_at ?? lease.mint_not_after,
    told: lease.revoked_at !== null,
  }
}
