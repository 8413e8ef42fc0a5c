/**
 * One fault in one run: the n-th outside call of a kind fails in one way. Calls are counted for every way at
 * once, so that a clean run tells how many places there are for each fault.
 */
import type { FaultDecision } from '../fakes/faults.ts'

export type OutsideCall = {
  /** Who is called: a provider, the ledger, a file, or, for `answer`, the broker by its own caller. */
  kind: 'github' | 'aws' | 'identity' | 'file' | 'ledger read' | 'ledger write' | 'answer'
  operation: string
  /** `during`: the ledger's body has run and does not come to its COMMIT. */
  when: 'before' | 'during' | 'after'
}

type Way = Pick<OutsideCall, 'kind' | 'when'> & {
  /** Only this operation can fail so: GitHub's word for anything else would mean something else. */
  operation?: string
  /** What a stand-in does; the others know only one failure. */
  decision?: FaultDecision
}

const REVOKE = 'apps/revoke-installation-access-token'
const failure = { status: 500 }
const limited = { status: 429, headers: { 'retry-after': '2' } }

export const WAYS = {
  'github drops the call': { kind: 'github', when: 'before', decision: 'drop' },
  'github loses the answer': { kind: 'github', when: 'after', decision: 'drop' },
  'github answers 500, nothing done': { kind: 'github', when: 'before', decision: failure },
  'github answers 500, all done': { kind: 'github', when: 'after', decision: failure },
  'github answers 429': { kind: 'github', when: 'before', decision: limited },
  'github answers 401 to a revocation': {
    ...{ kind: 'github', when: 'before', operation: REVOKE },
    decision: { status: 401 },
  },
  'github answers 204 to a revocation, nothing done': {
    ...{ kind: 'github', when: 'before', operation: REVOKE },
    decision: { status: 204 },
  },
  'aws drops the call': { kind: 'aws', when: 'before', decision: 'drop' },
  'aws loses the answer': { kind: 'aws', when: 'after', decision: 'drop' },
  'aws answers 500, nothing done': { kind: 'aws', when: 'before', decision: failure },
  'aws answers 500, all done': { kind: 'aws', when: 'after', decision: failure },
  'aws answers 429': { kind: 'aws', when: 'before', decision: { status: 429 } },
  'the identity provider drops the call': { kind: 'identity', when: 'before', decision: 'drop' },
  'the identity provider answers 503': { kind: 'identity', when: 'before', decision: { status: 503 } },
  'a file cannot be read': { kind: 'file', when: 'before' },
  'a ledger read fails': { kind: 'ledger read', when: 'before' },
  'a ledger write does not begin': { kind: 'ledger write', when: 'before' },
  'a ledger write is rolled back': { kind: 'ledger write', when: 'during' },
  'a ledger write is committed, and not told': { kind: 'ledger write', when: 'after' },
  'an answer of the broker is lost': { kind: 'answer', when: 'after' },
} as const satisfies Record<string, Way>

export type WayName = keyof typeof WAYS
export const wayNames = Object.keys(WAYS) as WayName[]

/** Said where a clean run has not the places of `fault-points.json`. */
export const UPDATE = "where this is meant: MAYFLY_WRITE_FAULT_POINTS=1 npm run test:faults -- -t 'clean run'"

export type Fault = { way: WayName; n: number }

export type FaultPlan = {
  /** Counts and strikes only while true. */
  armed: boolean
  /** How often each fault could have struck so far. */
  readonly counts: Readonly<Record<WayName, number>>
  /** The operation that was struck; undefined while none was. */
  readonly struck: string | undefined
  /** What happens to this call: undefined where it goes on. */
  ask(call: OutsideCall): Way | undefined
}

export function createFaultPlan(fault?: Fault): FaultPlan {
  const counts = Object.fromEntries(wayNames.map(way => [way, 0])) as Record<WayName, number>
  let struck: string | undefined
  return {
    armed: false,
    counts,
    get struck() {
      return struck
    },
    ask(call) {
      if (!this.armed) return undefined
      let hit: Way | undefined
      for (const name of wayNames) {
        if (!applies(WAYS[name], call)) continue
        counts[name] += 1
        if (fault?.way !== name || fault.n !== counts[name]) continue
        hit = WAYS[name]
        struck = call.operation
      }
      return hit
    },
  }
}

function applies(way: Way, call: OutsideCall): boolean {
  return (
    way.kind === call.kind &&
    way.when === call.when &&
    (way.operation === undefined || way.operation === call.operation)
  )
}
