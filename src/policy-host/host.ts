/**
 * Where policies are judged: in a worker thread, so that no input can take the broker down, with a memory of
 * verdicts in front of it, so that steady traffic does not pay for the way there and back. A verdict depends on
 * the set and the request alone.
 */

import type { Attestor } from '../../attestors/attestor.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import { LIMITS } from '../limits.ts'
import { unacceptable } from '../policy/cedar/acceptable.ts'
import { trimmer } from '../policy/cedar/cedar-call.ts'
import type { PolicyFile, PolicyProblem } from '../policy/cedar/compile.ts'
import { type Vocabulary, vocabularyOf } from '../policy/cedar/vocabulary.ts'
import { noPolicy, type PolicyEngine, type PolicyVerdict } from '../policy/facts.ts'
import { openSeat, type Seat, type SeatTools } from './seat.ts'

/** A set that is ready to judge and in force nowhere yet. */
export type PreparedPolicies = {
  hash: string
  /** Judges by this set, also while another is in force. */
  engine: PolicyEngine
  /** Puts it in force. What began under the former set ends under it. */
  install(): void
  /** Ends it where it is not wanted after all; nothing where it is in force. */
  discard(): Promise<void>
}

export type PolicyHost = {
  /** Judges by whatever is in force; by nothing at all until something is installed. */
  engine: Required<PolicyEngine>
  /**
   * Compiles files and lets a canary be judged, beside what is in force. Undefined: no policy at all.
   * @throws ThreadDied where no thread can be started
   */
  prepare(
    files: readonly PolicyFile[] | undefined,
  ): Promise<{ ok: true; prepared: PreparedPolicies } | { ok: false; problems: readonly PolicyProblem[] }>
  stop(): Promise<void>
}

/** What the schema is made of; read again for each set, since plugins are registered at run time too. */
export type Plugins = {
  attestors: ReadonlyMap<string, Pick<Attestor, 'claimTypes'>>
  issuers: ReadonlyMap<string, Pick<Issuer, 'resourceTypes'>>
}

export function createPolicyHost(plugins: Plugins, tools: SeatTools): PolicyHost {
  const none: PreparedPolicies & { made: string; seat?: Seat } = {
    ...{ hash: noPolicy.hash(), engine: noPolicy, made: '' },
    install: () => install(none),
    discard: async () => {},
  }
  let current: typeof none = none
  const seats = new Set<Seat>()
  const retiring = new Set<() => void>()

  function install(next: typeof none): void {
    if (current === next) return
    const { seat } = current
    current = next
    if (seat === undefined) return
    const cancel = tools.schedule(LIMITS.policyRetireMs, () => {
      retiring.delete(cancel)
      void close(seat)
    })
    retiring.add(cancel)
  }

  async function close(seat: Seat): Promise<void> {
    seats.delete(seat)
    await seat.stop()
  }

  return {
    engine: {
      hash: () => current.hash,
      needs: () => current.engine.needs(),
      textOf: id => current.engine.textOf?.(id),
      judge: request => current.engine.judge(request),
      inForce: () => current.engine,
      notReady: () => (current.seat?.isBroken() ? 'no thread can be started to judge by policy' : undefined),
    },
    async prepare(files) {
      if (files === undefined) return { ok: true, prepared: none }
      const vocabulary = vocabularyOf(plugins.attestors, plugins.issuers)
      // The very same is in force: nothing is to be done.
      const made = JSON.stringify([files, vocabulary])
      if (made === current.made) return { ok: true, prepared: current }
      const opened = await openSeat({ files, vocabulary }, tools)
      if (!opened.ok) return opened
      const { seat } = opened
      seats.add(seat)
      const prepared = {
        ...{ hash: seat.loaded.hash, engine: engineOf(seat, vocabulary, tools), made, seat },
        install: () => install(prepared),
        discard: async () => {
          if (current !== prepared) await close(seat)
        },
      }
      return { ok: true, prepared }
    },
    async stop() {
      for (const cancel of retiring) cancel()
      await Promise.all([...seats].map(close))
    },
  }
}

function engineOf({ loaded, judge }: Seat, vocabulary: Vocabulary, { metrics }: SeatTools): PolicyEngine {
  /** By request; what has not been asked for lately first. */
  const verdicts = new Map<string, PolicyVerdict>()
  const trim = trimmer(loaded.reads, vocabulary)
  const texts = new Map(loaded.policies.map(one => [one.id, one]))
  const counted = (verdict: PolicyVerdict, how: 'judged' | 'remembered') => {
    metrics.judged(verdict.failed ? 'failed' : verdict.outcome, how)
    return verdict
  }
  return {
    hash: () => loaded.hash,
    needs: () => loaded.needs,
    textOf: id => texts.get(id),
    async judge(request) {
      const fault = unacceptable(request)
      if (fault !== undefined) return counted(unreadable(fault), 'judged')
      const asked = JSON.stringify(trim(request))
      const known = verdicts.get(asked)
      if (known !== undefined) {
        // Where there is room for as many again, nothing that is asked for is near its end.
        if (verdicts.size > LIMITS.policyVerdicts / 2) {
          verdicts.delete(asked)
          verdicts.set(asked, known)
        }
        return counted(known, 'remembered')
      }
      const verdict = await judge(asked)
      if (verdict.failed) return counted(verdict, 'judged')
      if (verdicts.size >= LIMITS.policyVerdicts) verdicts.delete(verdicts.keys().next().value!)
      verdicts.set(asked, verdict)
      return counted(verdict, 'judged')
    },
  }
}

/** A request beyond the bounds, which nothing reads. */
function unreadable(fault: string): PolicyVerdict {
  return {
    ...{ outcome: 'deny', determining: [], requires: [], nearest: [] },
    reasons: [`the request holds ${fault}`],
  }
}
