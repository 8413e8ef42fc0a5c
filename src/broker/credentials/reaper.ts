/**
 * Revokes whatever an ended task still holds. Woken by every end; a timer is only the backstop. Each issuer
 * has its own worker, concurrency and breaker, so that one dead provider never delays another.
 */

import type { LeaseRow } from '../../store/rows.ts'
import { continueOffboarding, offboardingPrefix } from '../agents/agent-offboarding.ts'
import type { Broker } from '../broker.ts'
import { groupOf, groupPrefix } from '../group-claim.ts'
import { continueRevocation, revocationPrefix } from '../revocations/revocations.ts'
import { tracedBroker } from '../traced-broker.ts'
import { createWakeLoop, type Schedule } from '../wake-loop.ts'
import { postpone, type ReapOutcome, reapLease } from './reap-lease.ts'
import { keepGroup, revokeInGroups } from './revoke-group.ts'

export type Reaper = {
  /** There is work, perhaps. Cheap, and safe to call at any time. */
  wake(): void
  /** Resolves when nothing is under way; what is due later, or held back, is not waited for. */
  idle(): Promise<void>
  /** Takes no new work; resolves when what is under way is written down. */
  stop(): Promise<void>
}

type Breaker = { failures: number; openUntil: number }

export function createReaper(broker: Broker, schedule: Schedule): Reaper {
  const workers = new Map<string, Promise<void>>()
  /** Issuers that got work while their worker was perhaps already on its way out. */
  const missed = new Set<string>()
  const breakers = new Map<string, Breaker>()
  /** Recurring work that one broker at a time does, by the prefix of its claims. */
  const claimed = [
    {
      prefix: groupPrefix,
      most: broker.limits.groupsPerPass,
      issuerOf: (name: string) => groupOf(name).issuer,
      work: keepOne,
    },
    { prefix: revocationPrefix, most: broker.limits.revocationsPerPass, work: continueOne },
    {
      prefix: offboardingPrefix,
      most: broker.limits.revocationsPerPass,
      work: (name: string) => continueOffboarding(broker, name),
    },
  ]

  /** Starts a worker for whatever is due, and says when the next is: at the latest after the backstop. */
  const loop = createWakeLoop(schedule, async isWanted => {
    let wait = broker.limits.reaperBackstopMs
    const { read } = broker.ledger
    try {
      while (isWanted()) {
        const now = await broker.ledger.now()
        for (const issuer of await read.issuersDue(now))
          startWorker(issuer, issuer, now, () => reapIssuer(issuer))
        for (const { prefix, most, issuerOf, work } of claimed)
          for (const { name } of await read.claimsDue(prefix, now, most))
            startWorker(name, issuerOf?.(name) ?? name, now, () => work(name))
        const next = await read.nextDue(now)
        if (next !== null) wait = Math.min(wait, Math.max(1, next - now))
      }
    } catch (error) {
      broker.log.error({ err: error }, 'the reaper could not read the ledger; it will try again')
    }
    return wait
  })
  const { wake } = loop

  /** One worker for each issuer with due leases, and one for each group whose document is due. */
  function startWorker(name: string, issuer: string, now: number, work: () => Promise<void>): void {
    if (workers.has(name)) missed.add(name)
    if (workers.has(name) || isOpen(issuer, now)) return
    const worker = work()
      .catch(error => broker.log.error({ issuer, err: error }, 'reaping stopped short; it will go on'))
      .finally(() => {
        workers.delete(name)
        if (missed.delete(name)) wake()
      })
    workers.set(name, worker)
  }

  async function keepOne(name: string): Promise<void> {
    const outcome = await keepGroup(broker, name)
    if (outcome !== undefined) note(groupOf(name).issuer, outcome, await broker.ledger.now())
    // What it told the provider of is now due to be proven.
    if (outcome === 'later') wake()
  }

  /** What operators revoke, a batch at a time: nothing else waits for a long one. */
  async function continueOne(name: string): Promise<void> {
    while (!loop.isStopped() && (await continueRevocation(broker, name)));
  }

  async function reapIssuer(issuer: string): Promise<void> {
    while (!loop.isStopped()) {
      const now = await broker.ledger.now()
      const due = await broker.ledger.write(tx =>
        tx.claimDue(issuer, broker.limits.reaperBatch, now + broker.limits.reaperClaimMs),
      )
      if (due.length === 0) return
      const { onward, outcomes } = await revokeInGroups(broker, issuer, due, schedule)
      for (const outcome of outcomes) note(issuer, outcome, now)
      const queue = onward.values()
      const lanes = Math.min(onward.length, broker.limits.reaperConcurrencyPerIssuer)
      const ran = await Promise.allSettled(Array.from({ length: lanes }, () => lane(issuer, queue)))
      // Told only when every lane has ended: until then this issuer's worker is at work.
      for (const lane of ran) if (lane.status === 'rejected') throw lane.reason
      if (isOpen(issuer, now)) return
    }
  }

  async function lane(issuer: string, queue: Iterator<LeaseRow>): Promise<void> {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const now = await broker.ledger.now()
      const openUntil = breakers.get(issuer)?.openUntil ?? 0
      // A claim that ran out in the queue is another's by now, or due again.
      if ((next.value.claimed_until ?? 0) <= now) continue
      if (loop.isStopped()) await postpone(broker, next.value, now)
      else if (openUntil > now) await postpone(broker, next.value, openUntil)
      else note(issuer, await reapTraced(next.value), now)
    }
  }

  function reapTraced(lease: LeaseRow): Promise<ReapOutcome> {
    const { id, task, issuer } = lease
    return broker.trace.span('reap', { lease: id, task, issuer }, inner =>
      reapLease(tracedBroker(broker, inner), lease),
    )
  }

  const isOpen = (issuer: string, now: number) => (breakers.get(issuer)?.openUntil ?? 0) > now

  /** So many failures in a row, and the issuer is left alone for a while; one lease closed closes the breaker. */
  function note(issuer: string, outcome: ReapOutcome, now: number): void {
    if (outcome === 'closed' && breakers.delete(issuer)) broker.metrics.breaker(issuer, false)
    // Put off: the provider may not have been asked at all.
    if (outcome !== 'provider_down') return
    const breaker = breakers.get(issuer) ?? { failures: 0, openUntil: 0 }
    breaker.failures += 1
    if (breaker.failures >= broker.limits.breakerFailures)
      breaker.openUntil = now + broker.limits.breakerOpenMs
    broker.metrics.breaker(issuer, breaker.openUntil > now)
    breakers.set(issuer, breaker)
  }

  async function idle(): Promise<void> {
    // A worker that ends may wake the loop, and the loop starts workers.
    do {
      await loop.idle()
      await Promise.all(workers.values())
    } while (workers.size > 0 || loop.isBusy())
  }

  return {
    wake,
    idle,
    async stop() {
      await loop.stop()
      await idle()
    },
  }
}
