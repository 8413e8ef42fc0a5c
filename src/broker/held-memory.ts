/**
 * What this process read lately of what agents were given, for as long as it stands: a team's number (turns.ts) says
 * when more was given. It is for mints alone, which look in their own transaction whether the number is what it was.
 */
import type { Agent } from '../policy/agent.ts'
import type { HeldFacts } from '../policy/facts.ts'
import type { Turn } from './turns.ts'

/** By what it was read: the agents in force, and which of it policies look at. */
export type ReadBy = { agents: ReadonlyMap<string, Agent>; names: string }

export type HeldBefore = {
  facts: HeldFacts
  turn: Turn
  /** Epoch ms of this process: nothing of it leaves the window before, and then it is read again. */
  until: number
}

export type HeldMemory = {
  recall(by: ReadBy, turn: string, agent: string, now: number): HeldBefore | undefined
  keep(by: ReadBy, turn: string, agent: string, before: HeldBefore): void
  /** More was given than was read. */
  forget(turn: string): void
}

/** As large as the registry: one entry for each agent. */
export function createHeldMemory(): HeldMemory {
  let readBy: ReadBy | undefined
  const turns = new Map<string, { seen: number; agents: Map<string, HeldBefore> }>()
  const isOther = (by: ReadBy) => readBy?.agents !== by.agents || readBy.names !== by.names

  return {
    recall(by, turn, agent, now) {
      const before = isOther(by) ? undefined : turns.get(turn)?.agents.get(agent)
      return before !== undefined && now < before.until ? before : undefined
    },
    keep(by, turn, agent, before) {
      if (isOther(by)) turns.clear()
      readBy = by
      const { seen } = before.turn
      const known = turns.get(turn)
      // Whoever read slowly puts nothing back that was read before.
      if (known !== undefined && known.seen > seen) return
      const agents = known?.seen === seen ? known.agents : new Map<string, HeldBefore>()
      turns.set(turn, { seen, agents: agents.set(agent, before) })
    },
    forget(turn) {
      turns.delete(turn)
    },
  }
}
