/** Workloads behind a load balancer: who is not answered by one broker is sent to the next. */
import { setTimeout } from 'node:timers/promises'
import { LoadOver, type Post, send } from './load.ts'

/** A broker that is silent for so long is taken for gone, and left alone for a while. */
const PATIENCE_MS = 2_000
const LEFT_ALONE_MS = 3_000
/** The broker's floor for the same evidence: what comes earlier looks like a race and not like a retry. */
const LOST_WAIT_MS = 1_000

/** Answers that say: not now, and nothing is promised of what was done. */
const OUTAGES: readonly string[] = [
  'ledger_unavailable',
  'provider_unavailable',
  'attestation_unavailable',
  'configuration_stale',
  'mint_contended',
]

export type Balanced = {
  /** Where the brokers are, or last were. */
  urls: () => readonly string[]
  isOver: () => boolean
  /** Told of each outage that a workload met: what the broker answered, or that it did not. */
  onOutage: (what: string) => void
}

/** Each request to the next broker in turn that is not left alone, until one answers it. */
export function failingOver({ urls, isOver, onOutage }: Balanced): Post {
  const leftAloneUntil = new Map<string, number>()
  let turn = 0
  function next(): string {
    const all = urls()
    const well = all.filter(url => (leftAloneUntil.get(url) ?? 0) < performance.now())
    const choice = well.length > 0 ? well : all
    turn += 1
    return choice[turn % choice.length]!
  }
  return async (path, token, json) => {
    for (let repeated = false; ; repeated = true) {
      if (isOver()) throw new LoadOver('the load is to end')
      const url = next()
      const answer = await send(url + path, token, json, AbortSignal.timeout(PATIENCE_MS)).catch(() => {})
      if (answer !== undefined && !OUTAGES.includes(answer.body.code)) return { ...answer, repeated }
      onOutage(answer === undefined ? 'no answer' : (answer.body.code as string))
      if (answer === undefined) leftAloneUntil.set(url, performance.now() + LEFT_ALONE_MS)
      await setTimeout(Math.max(answer?.retryAfterMs ?? 0, LOST_WAIT_MS))
    }
  }
}
