/** What is looked for among agents: those that somebody should do something about. Pure. */
import type { AgentDocument } from './agent.ts'

/** As it is configured (`life_cycle` in mayfly.yaml). */
export type LifeCycle = {
  /** The teams that there are; absent: any name that says something is an owner. */
  owners?: readonly string[]
  unusedDays: number
  /** Whether every agent must have been certified by its owner once. */
  certify: boolean
  /** The claim of evidence that names the build that runs. */
  buildClaim?: string
}

export const FLAGS = ['ownerless', 'unused', 'expired', 'uncertified'] as const
export type Flag = (typeof FLAGS)[number]

export type FlagFacts = {
  document: Pick<AgentDocument, 'owner' | 'expires_at' | 'build'>
  /** Epoch ms: when a task of it was last opened, or else when it was last declared. */
  lastSignAt: number
  certifiedBuild: string | null
  certifiedUntil: number | null
}

export function flagsOf(
  { document, lastSignAt, certifiedBuild, certifiedUntil }: FlagFacts,
  { owners, unusedDays, certify }: LifeCycle,
  now: number,
): Flag[] {
  const { owner, expires_at, build = null } = document
  const isOwned =
    owners === undefined
      ? !isNobody(owner.business) && !isNobody(owner.technical)
      : owners.includes(owner.business) && !isNobody(owner.technical)
  const is: Readonly<Record<Flag, boolean>> = {
    ownerless: !isOwned,
    unused: lastSignAt < now - unusedDays * DAY_MS,
    expired: expires_at <= now,
    uncertified: build !== certifiedBuild || (certifiedUntil === null ? certify : certifiedUntil <= now),
  }
  return FLAGS.filter(flag => is[flag])
}

/** What people write where they have to write something. */
function isNobody(owner: string): boolean {
  return /^(|-+|\?+|nobody|no ?one|none|unknown|n\/?a|tbd|todo)(@.*)?$/i.test(owner.trim())
}

const DAY_MS = 86_400_000
