/** What a request noted when it was judged by what was given out before: see credentials/held-turns.ts. */
import type { Phase } from '../../issuers/issuer.ts'

/** By key. */
export type Turns = Map<string, Turn>

export type Turn = {
  /** 0: there was none. */
  seen: number
  /** Whose mints it is that others would see; null: whoever mints in the line. */
  of: string | null
  /** For each phase that was given: when the last was intended of those that stay. Null: a rule counts every mint. */
  lasting: ReadonlyMap<Phase, number> | null
}
