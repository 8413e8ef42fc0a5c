import { describe, expect, test } from 'vitest'
import { createHeldMemory, type HeldBefore } from '../../src/broker/held-memory.ts'
import type { Agent } from '../../src/policy/agent.ts'

const agents: ReadonlyMap<string, Agent> = new Map()
const by = { agents, names: 'phases.agent' }
const before: HeldBefore = {
  facts: {
    phases: { lineage: [], agent: ['read'], owner: [] },
    credentials: { lineage: 0, agent: 0, owner: 0 },
  },
  turn: { seen: 7, of: 'a', lasting: new Map([['read', 900]]) },
  until: 1_000,
}

describe('what was read of an agent', () => {
  const kept = () => {
    const memory = createHeldMemory()
    memory.keep(by, 'held/team/one', 'a', before)
    return memory
  }

  test('is remembered until it is too old', () => {
    const memory = kept()
    expect(memory.recall(by, 'held/team/one', 'a', 999)).toBe(before)
    expect(memory.recall(by, 'held/team/one', 'a', 1_000)).toBeUndefined()
  })

  test.each<[string, Parameters<ReturnType<typeof kept>['recall']>]>([
    ['another agent', [by, 'held/team/one', 'b', 999]],
    ['another team', [by, 'held/team/other', 'a', 999]],
    ['agents that were registered since', [{ ...by, agents: new Map() }, 'held/team/one', 'a', 999]],
    ['policies that look at something else', [{ ...by, names: 'phases.owner' }, 'held/team/one', 'a', 999]],
  ])('is nothing for %s', (_, asked) => {
    expect(kept().recall(...asked)).toBeUndefined()
  })

  test('is forgotten with its number', () => {
    const memory = kept()
    memory.forget('held/team/other')
    expect(memory.recall(by, 'held/team/one', 'a', 999)).toBe(before)
    memory.forget('held/team/one')
    expect(memory.recall(by, 'held/team/one', 'a', 999)).toBeUndefined()
  })

  test('is forgotten where it is read by something else', () => {
    const memory = kept()
    memory.keep({ ...by, agents: new Map() }, 'held/team/one', 'b', before)
    expect(memory.recall(by, 'held/team/one', 'a', 999)).toBeUndefined()
  })

  test('is not put back by whoever read it before it was another, which is forgotten', () => {
    const memory = kept()
    const later = { ...before, turn: { ...before.turn, seen: 8 } }
    memory.keep(by, 'held/team/one', 'b', later)
    expect(memory.recall(by, 'held/team/one', 'a', 999)).toBeUndefined()
    memory.keep(by, 'held/team/one', 'b', before)
    expect(memory.recall(by, 'held/team/one', 'b', 999)).toBe(later)
  })
})
