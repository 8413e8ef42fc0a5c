/** What a candidate set of policies is shown, and what it says of itself. */
import type { Declared, PolicyNeeds, PolicyRequest, PolicyVerdict } from './facts.ts'

/** One ask as it was judged, by the set of `hash`. */
export type Seen = {
  request: PolicyRequest
  declared: Declared | undefined
  verdict: PolicyVerdict
  hash: string
  /** Where it can be looked up. */
  decision: string
}

/** Since this broker took the candidate. */
export type ShadowStatus = {
  /** Null where there is none, or none that can be judged by. */
  hash: string | null
  /** Why there is none, where one is configured. */
  problem: string | null
  judged: number
  differing: number
  /** Not judged: there was no room. */
  dropped: number
  /** Not judged: the candidate could not. */
  failed: number
}

/** What a decision sees of it. */
export type ShadowObserver = { needs(): PolicyNeeds; observe(seen: Seen): void; status(): ShadowStatus }
