/** What is asked for when a task is opened, in whatever protocol it came. */
import type { Evidence, JwtEvidence } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { Declared } from '../../policy/facts.ts'
import type { Lifetime } from '../../store/rows.ts'
import type { ApprovalWish } from '../approvals/ask-approval.ts'
import type { HeldKeys } from '../bound/held-keys.ts'
import type { WantedAsk } from '../credentials/resolve-asks.ts'

export type OpenRequest = {
  evidence: Evidence
  /** Who the caller says that it is, where the protocol has it say so. */
  subject?: string
  /** The ID token of the human on whose behalf. */
  onBehalfOf?: JwtEvidence
  /** Chooses among the agents whose rule matches; never adds one. */
  agent?: string
  /** `agent` is one that a trust policy made, and these are the audiences of the evidence: its rule is what counts. */
  trusted?: { audiences: readonly string[] }
  purpose: string
  minutes?: number
  heartbeatSeconds?: number
  asks: readonly WantedAsk[]
  ticket?: Secret
  /** How long it lives beside its CI job; the job's length where it is not said. */
  lifetime?: Lifetime
  /** What it says of itself; may only narrow. */
  declared?: Declared
  /** What humans are told, where they are asked. */
  wish?: ApprovalWish
  /** About where it runs. */
  statements?: readonly Evidence[]
  /** Keys that were shown with the request: the task's token is bound to one of them. */
  held?: HeldKeys
  /** Mint the first ask at once and answer with it. */
  mintFirst: boolean
  /** Nobody could come back for what humans agree to later: that is refused, and nothing is opened. */
  cannotWait?: true
}
