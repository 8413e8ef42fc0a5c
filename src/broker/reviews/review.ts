/**
 * An access review: for a period and each agent, what it may have, what it asked for and was given, how long that
 * lived, what it never used, and the narrower ceiling that would have been enough.
 */
import { ProviderUnavailable } from '../../../issuers/issuer.ts'
import type { Agent } from '../../policy/agent.ts'
import { type CeilingUse, useOfCeiling } from '../../policy/narrow-ceiling.ts'
import type { MintedGroup, Period } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'

export type AgentReview = {
  agent: string
  /** Absent: the agent is no longer registered. */
  registered?: Agent
  tasks: { opened: number; receipts: number; byEnd: Readonly<Record<string, number>> }
  decisions: { allow: number; deny: number; needs_approval: number }
  credentials: {
    minted: number
    neverMinted: number
    expiredUnconfirmed: number
    mayHaveLeftAccess: number
    byPhase: Readonly<Record<string, number>>
    meanLifeMs: number
    longestLifeMs: number
    longestPastEndMs: number
  }
  /** By issuer of the ceiling. */
  use: Readonly<Record<string, CeilingUse>>
  /** The ceiling that would have been enough; undefined where the one in force is no wider, or nothing was minted. */
  proposal?: Readonly<Record<string, readonly unknown[]>>
}

export type Surplus = { issuer: string; where: string; right: string }

export type Review = {
  period: Period
  agents: AgentReview[]
  /** What providers give to the broker and no ceiling needs. */
  surplus: Surplus[]
  /** Issuers whose provider did not say. */
  unasked: string[]
}

/** @param only one agent's name; all of them where it is absent. */
export async function reviewPeriod(broker: Broker, period: Period, only?: string): Promise<Review> {
  const { read } = broker.ledger
  const [minted, decided, opened] = await Promise.all([
    read.mintedBetween(period, only),
    read.decidedBetween(period, only),
    read.openedBetween(period, only),
  ])
  const names = new Set([
    ...[...broker.agents().keys()].filter(name => only === undefined || name === only),
    ...minted.map(row => row.agent),
    ...opened.map(row => row.agent),
  ])
  const agents = [...names].sort().map(name => {
    const groups = minted.filter(row => row.agent === name)
    const registered = broker.agents().get(name)
    const use = registered === undefined ? {} : useOf(broker, registered, groups)
    const proposal = registered === undefined ? undefined : narrower(registered, use, groups)
    const tasks = opened.filter(row => row.agent === name)
    return {
      agent: name,
      ...(registered === undefined ? {} : { registered }),
      tasks: {
        opened: sum(tasks, row => row.count),
        receipts: sum(tasks, row => row.receipts),
        byEnd: Object.fromEntries(tasks.map(row => [row.end ?? 'active', row.count])),
      },
      decisions: decisionsOf(decided.filter(row => row.agent === name)),
      credentials: credentialsOf(groups),
      use,
      ...(proposal === undefined ? {} : { proposal }),
    }
  })
  return { period, agents, ...(only === undefined ? await surplusOf(broker) : { surplus: [], unasked: [] }) }
}

function decisionsOf(rows: readonly { outcome: string; count: number }[]): AgentReview['decisions'] {
  const of = (outcome: string) =>
    sum(
      rows.filter(row => row.outcome === outcome),
      row => row.count,
    )
  return { allow: of('allow'), deny: of('deny'), needs_approval: of('needs_approval') }
}

function credentialsOf(groups: readonly MintedGroup[]): AgentReview['credentials'] {
  const real = groups.filter(row => row.closed_as !== 'never_minted')
  const count = sum(real, row => row.count)
  const byPhase: Record<string, number> = {}
  for (const row of real) byPhase[row.phase ?? 'unknown'] = (byPhase[row.phase ?? 'unknown'] ?? 0) + row.count
  return {
    minted: count,
    neverMinted: sum(groups, row => row.count) - count,
    expiredUnconfirmed: sum(
      real.filter(row => row.closed_as === 'expired_unconfirmed'),
      row => row.count,
    ),
    mayHaveLeftAccess: sum(
      real.filter(row => row.may_leave_access === 1),
      row => row.count,
    ),
    byPhase,
    meanLifeMs: count === 0 ? 0 : Math.round(sum(real, row => row.life_ms) / count),
    longestLifeMs: Math.max(0, ...real.map(row => row.longest_life_ms)),
    longestPastEndMs: Math.max(0, ...real.map(row => row.longest_past_end_ms)),
  }
}

function useOf(broker: Broker, agent: Agent, groups: readonly MintedGroup[]): Record<string, CeilingUse> {
  const most = broker.limits.ceilingAsksPerIssuer
  return Object.fromEntries(
    Object.entries(agent.ceiling).flatMap(([name, ceiling]) => {
      const issuer = broker.issuers.get(name)
      if (issuer === undefined) return []
      return [[name, useOfCeiling(issuer, ceiling, mintedOf(groups, name), most)] as const]
    }),
  )
}

/** What one issuer gave, each distinct ask once. What never came to be was not used. */
function mintedOf(groups: readonly MintedGroup[], issuer: string): { ask: unknown; count: number }[] {
  const counts = new Map<string, number>()
  for (const row of groups)
    if (row.issuer === issuer && row.closed_as !== 'never_minted')
      counts.set(row.granted, (counts.get(row.granted) ?? 0) + row.count)
  return [...counts].map(([granted, count]) => ({ ask: JSON.parse(granted) as unknown, count }))
}

function narrower(
  agent: Agent,
  use: Readonly<Record<string, CeilingUse>>,
  groups: readonly MintedGroup[],
): Record<string, readonly unknown[]> | undefined {
  if (groups.every(row => row.closed_as === 'never_minted')) return undefined
  const enough = Object.entries(use).flatMap(([name, { enough }]) =>
    enough.length === 0 ? [] : [[name, enough] as const],
  )
  const proposal = Object.fromEntries(enough)
  return JSON.stringify(proposal) === JSON.stringify(agent.ceiling) ? undefined : proposal
}

/** What the App or the roles may do beyond the union of all ceilings: the most a stolen key of theirs is worth. */
async function surplusOf(broker: Broker): Promise<Pick<Review, 'surplus' | 'unasked'>> {
  const surplus: Surplus[] = []
  const unasked: string[] = []
  for (const [name, issuer] of broker.issuers) {
    if (issuer.surplus === undefined) continue
    const ceilings = [...broker.agents().values()].flatMap(agent => agent.ceiling[name] ?? [])
    try {
      for (const one of await issuer.surplus(ceilings)) surplus.push({ issuer: name, ...one })
    } catch (error) {
      if (!(error instanceof ProviderUnavailable)) throw error
      unasked.push(name)
    }
  }
  return { surplus, unasked }
}

function sum<Row>(rows: readonly Row[], of: (row: Row) => number): number {
  return rows.reduce((total, row) => total + of(row), 0)
}
