/**
 * A candidate set of policies judged beside the one in force, on real traffic: after the answer, one at a time, and
 * as far as there is room. Nothing of it reaches an answer. Where it would have decided otherwise is counted by kind
 * in the ledger.
 */
import { canonicalDigest } from '../../canonical.ts'
import { noPolicy, type PolicyEngine, type PolicyVerdict } from '../../policy/facts.ts'
import { judgeNarrowOnly } from '../../policy/narrow-only.ts'
import type { Seen, ShadowObserver, ShadowStatus } from '../../policy/shadow.ts'
import type { ShadowDifferenceRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import type { Schedule } from '../wake-loop.ts'

export type Shadow = ShadowObserver & {
  /** Puts another candidate in place, or none. */
  use(candidate: PolicyEngine | undefined, problem?: string): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  stop(): Promise<void>
}

type Kind = Omit<ShadowDifferenceRow, 'first_at' | 'last_at'>

export function createShadow(broker: Pick<Broker, 'ledger' | 'log' | 'limits'>, schedule: Schedule): Shadow {
  const { limits, log } = broker
  let candidate: PolicyEngine | undefined
  let status: ShadowStatus = fresh(undefined, undefined)
  let waiting: Seen[] = []
  let pass: Promise<void> | undefined
  let cancelTimer: (() => void) | undefined
  let stopped = false

  function arm(): void {
    if (stopped || pass !== undefined || cancelTimer !== undefined || waiting.length === 0) return
    cancelTimer = schedule(limits.shadowDelayMs, start)
  }

  function start(): void {
    cancelTimer?.()
    cancelTimer = undefined
    pass ??= run().finally(() => {
      pass = undefined
      arm()
    })
  }

  async function run(): Promise<void> {
    const batch = waiting.splice(0, limits.shadowBatch)
    const kinds = new Map<string, Kind>()
    for (const seen of batch) {
      if (candidate === undefined || stopped) return
      await look(candidate, seen, kinds)
    }
    try {
      await broker.ledger.write(async tx => {
        for (const kind of kinds.values()) await tx.noteDifference(kind, limits.shadowKinds)
      })
    } catch (error) {
      log.warn({ err: error, kinds: kinds.size }, 'differences of the candidate policies were not kept')
    }
  }

  async function look(engine: PolicyEngine, seen: Seen, kinds: Map<string, Kind>): Promise<void> {
    const mine = status
    try {
      const verdict = await judgeNarrowOnly(engine, seen.request, seen.declared)
      if (verdict.failed) {
        mine.failed += 1
        return
      }
      mine.judged += 1
      if (isSame(seen.verdict, verdict)) return
      mine.differing += 1
      const kind = kindOf(seen, verdict, engine.hash())
      kinds.set(kind.id, { ...kind, times: (kinds.get(kind.id)?.times ?? 0) + 1 })
    } catch (error) {
      mine.failed += 1
      log.debug({ err: error }, 'the candidate policies could not judge')
    }
  }

  return {
    needs: () => candidate?.needs() ?? noPolicy.needs(),
    status: () => ({ ...status }),
    observe(seen) {
      if (candidate === undefined || stopped || seen.verdict.failed) return
      if (waiting.length >= limits.shadowWaiting) status.dropped += 1
      else waiting.push(seen)
      arm()
    },
    use(next, problem) {
      if (next !== undefined && next.hash() === candidate?.hash()) {
        candidate = next
        return
      }
      candidate = next
      waiting = []
      status = fresh(next?.hash(), problem)
    },
    async idle() {
      while (pass !== undefined || waiting.length > 0) {
        if (pass === undefined) start()
        await pass
      }
    },
    async stop() {
      stopped = true
      waiting = []
      cancelTimer?.()
      await pass
    },
  }
}

function fresh(hash: string | undefined, problem: string | undefined): ShadowStatus {
  return { hash: hash ?? null, problem: problem ?? null, judged: 0, differing: 0, dropped: 0, failed: 0 }
}

/** Whatever rules said so: what comes of it is the same. */
function isSame(live: PolicyVerdict, shadow: PolicyVerdict): boolean {
  if (live.outcome !== shadow.outcome) return false
  return demands(live) === demands(shadow)
}

const demands = ({ requires }: PolicyVerdict) =>
  JSON.stringify(
    requires
      .map(({ quorum, groups, ownerMay }) => JSON.stringify([quorum, groups.toSorted(), ownerMay]))
      .toSorted(),
  )

function kindOf(
  { request, verdict: live, hash, decision }: Seen,
  shadow: PolicyVerdict,
  shadowHash: string,
): Kind {
  const kind = {
    ...{ shadow_hash: shadowHash, live_hash: hash, live: live.outcome, shadow: shadow.outcome },
    ...{ agent: request.agent.name, issuer: request.issuer, phase: request.phase },
    live_by: JSON.stringify(live.determining.toSorted()),
    shadow_by: JSON.stringify(shadow.determining.toSorted()),
  }
  return { id: canonicalDigest(kind), ...kind, times: 0, example: decision }
}
