/** What every use case works with. Passed down as the first argument; nothing here is at module level. */
import type { Attestor, Proof } from '../../attestors/attestor.ts'
import type { HumanAccess, Issuer } from '../../issuers/issuer.ts'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { IdPrefix } from '../keys/ids.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { TokenKind } from '../keys/tokens.ts'
import type { Limits } from '../limits.ts'
import type { Metrics } from '../metrics.ts'
import type { Agent, RiskTier } from '../policy/agent.ts'
import type { Budgets } from '../policy/budgets.ts'
import type { PolicyEngine } from '../policy/facts.ts'
import type { QuarantineRule } from '../policy/leak-rule.ts'
import type { LifeCycle } from '../policy/life-cycle.ts'
import type { ShadowObserver } from '../policy/shadow.ts'
import type { Ledger } from '../store/ledger.ts'
import type { MintingAgentRow } from '../store/rows.ts'
import type { Trace } from '../trace.ts'
import type { HeldMemory } from './held-memory.ts'
import type { Humans } from './people/human.ts'
import type { People } from './people/people.ts'
import type { Queues } from './queues.ts'
import type { Turns } from './turns.ts'
import type { Waits } from './waits.ts'

/** Structured log. Fields are ids, codes and figures; never a secret, never evidence. */
export type Log = Record<
  'debug' | 'info' | 'warn' | 'error',
  (fields: Readonly<Record<string, unknown>>, message: string) => void
>

export type Identity = Proof & {
  /** The attestor's configured name, stamped by the host. */
  attestor: string
}

export type Broker = {
  ledger: Ledger
  keyring: Keyring
  log: Log
  metrics: Metrics
  trace: Trace
  limits: Limits
  /** What a task gets where neither its agent nor its caller says. */
  defaults: {
    taskMinutes: number
    heartbeatSeconds?: number
    /** How often a human must say that a task may go on, for agents of which tiers. */
    checkIn?: { tiers: readonly RiskTier[]; minutes: number }
  }
  /** With which issuer the provider is asked whether a job is running, and for agents of which tiers. */
  verifyRunning?: { issuer: string; tiers: readonly RiskTier[] }
  /** What comes of a leak beside the end of what leaked. */
  leaks: { quarantine: QuarantineRule }
  /** By what agents are found that somebody should look at. */
  lifeCycle: LifeCycle
  /** Epoch ms of this process; deadlines are judged by the ledger's clock instead. */
  now: () => number
  /** Both live: what is registered while the broker runs is put into them. */
  attestors: ReadonlyMap<string, Attestor>
  issuers: ReadonlyMap<string, Issuer>
  /** SHA-256 (hex) of the settings that each issuer was opened with: an approval is for these and no others. */
  issuerDigests: ReadonlyMap<string, string>
  /** Which generation of the registry is installed here. Mints are held against the ledger's own. */
  generation: () => number
  /** Why this broker mints nothing at all, and what to do; undefined where it does. */
  stale: () => string | undefined
  /** The agents of the configuration in force; replaced whole on reload. */
  agents: () => ReadonlyMap<string, Agent>
  /** What owners and lineages may use up, beside the agents' own limits. */
  budgets: Budgets
  /** The policies in force, beside the ceilings. */
  policy: PolicyEngine
  /** A candidate set that is judged beside them and decides nothing. */
  shadow?: ShadowObserver
  /** What was read lately of what was given out before. */
  heldMemory: HeldMemory
  /** Of one request: what it noted when it was judged by what was given out before. */
  turns?: Turns
  /** Who may be an operator, and how. */
  people: People
  /** On whose behalf tasks may run, by what their ID tokens say. Absent: on nobody's. */
  humans?: Humans
  /** Of one request: how agents stood when it was first asked. */
  knownAgents?: Map<string, Promise<MintingAgentRow | undefined>>
  /** Of one request: what providers said of a human's rights, by ask. */
  humanAccess?: Map<string, Promise<HumanAccess>>
  /** Agents as their last mint found them, with a MAC that was seen to be right; as many as there are agents. */
  verifiedAgents: Map<string, MintingAgentRow>
  /** Claims of a JWT that a published key of this installation signed for a task; undefined for any other. */
  verifyTaskJwt: (token: string) => Readonly<Record<string, unknown>> | undefined
  newId: (prefix: IdPrefix) => string
  newToken: (kind: TokenKind) => Secret
  /** Uniform in [0, 1); for jitter. */
  jitter: () => number
  /** Requests that went wrong side by side, and go on one after another. */
  queues: Queues
  /** Of one request: told when what it mints is recorded, so that the next in its queue goes on. */
  recorded?: () => void
  /** Resolves when what the ledger says is registered is installed here, or cannot be. */
  reloaded: () => Promise<void>
  /** Tells the reaper that there is work. Called after COMMIT. */
  wake: () => void
  /** Requests that wait for humans. */
  waits: Waits
  /**
   * Whom the broker tells of approvals, and (`ending`) of ends before there is a receipt: names of webhooks, and what
   * to call when there is something to tell.
   */
  outbox: { webhooks: readonly string[]; ending: readonly string[]; wake: () => void }
  /** Tells those who write receipts that a task is settled. Called after COMMIT. */
  settled: () => void
}
