/** A few histories of the simulation; `npm run test:simulation` has as many as are wanted. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keepRealWorldOut, RealWorld } from './guard.ts'
import { planted } from './planted.ts'
import regressions from './regressions.json' with { type: 'json' }
import { createScheduler } from './scheduler.ts'
import { simulate } from './simulate.ts'

const SEEDS = 30
/** Each of them shows in one history of ten at least: missed by so many once in a billion, and found in a few. */
const WINDOW = 200
/** Of a test, on a machine that does much else; the histories themselves know no real time. */
const PATIENCE_MS = 120_000

describe('histories', { timeout: PATIENCE_MS }, () => {
  test.each(regressions)('seed $seed, which once showed that $showed', async ({ seed }) => {
    expect((await simulate(seed)).failure).toBeUndefined()
  })

  test(`${SEEDS} of them hold every invariant`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { failure } = await simulate(seed)
      expect(failure, `npm run test:simulation -- --seed ${seed}`).toBeUndefined()
    }
  })

  test('one seed has one history, another seed another', async () => {
    const [one, again, other] = [await simulate(3), await simulate(3), await simulate(4)]
    expect(again.hash).toBe(one.hash)
    expect(other.hash).not.toBe(one.hash)
  })
})

describe('planted bugs that are seldom missed', { timeout: PATIENCE_MS }, () => {
  test('there are fifty, each with a name of its own', () => {
    expect(new Set(planted.map(({ name }) => name)).size).toBeGreaterThanOrEqual(50)
  })

  // The rest needs more histories than fit here: `npm run test:simulation -- --planted`.
  const quick = [
    'an end forgets mints that are under way',
    'evidence is good twice',
    'an answer goes out before its commit',
    'a lost answer is taken for a refusal, and its intent closed',
    'a provider that does not answer is taken for one that revoked',
    'wakes are lost, and nothing looks by itself',
    'a mint does not look how an agent stands',
    'one human is counted twice',
    'an end leaves humans to be asked',
    'a mint is judged by an older generation',
    'a webhook that does not answer is taken for one that was told',
    'a drill passes whatever it saw',
    'a turn to look at runs is never over',
  ]
  test.each(quick)('%s', async name => {
    const mutation = planted.find(one => one.name === name)!
    let found = false
    for (let seed = 1; seed <= WINDOW && !found; seed += 1)
      found = (await simulate(seed, { mutation })).failure !== undefined
    expect(found).toBe(true)
  })
})

describe('nothing real', () => {
  let letIn = () => {}
  beforeEach(() => {
    letIn = keepRealWorldOut()
  })
  afterEach(() => letIn())

  test('is reached by a history', async () => {
    const { failure } = await simulate(1)
    letIn()
    expect(failure).toBeUndefined()
  })

  test('can be reached unnoticed', () => {
    const refused = (() => {
      try {
        return setTimeout(() => {}, 1)
      } catch (error) {
        return error
      }
    })()
    letIn()
    expect(refused).toBeInstanceOf(RealWorld)
  })

  test('is waited for: an await that nobody owns is an error', async () => {
    letIn()
    const waiting = createScheduler(0).settle('a test', new Promise(() => {}))
    await expect(waiting).rejects.toThrow('does not own')
  })
})
