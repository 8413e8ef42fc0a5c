import { expect, test } from 'vitest'
import { RateBudget } from '../../issuers/shared/rate-budget.ts'

test('a minute’s worth at once, then evenly', () => {
  let now = 0
  const budget = new RateBudget(60, () => now)
  expect(Array.from({ length: 60 }, () => budget.take()).every(wait => wait === 0)).toBe(true)
  expect(budget.take()).toBe(1_000)
  now = 1_000
  expect(budget.take()).toBe(0)
  expect(budget.take()).toBe(1_000)
})

test('a crowd that is refused is told one after another when to come back, and each one finds its turn', () => {
  let now = 0
  const budget = new RateBudget(60, () => now)
  for (let n = 0; n < 60; n += 1) budget.take()
  const waits = Array.from({ length: 100 }, () => budget.take())
  expect(waits).toEqual(Array.from({ length: 100 }, (_, n) => (n + 1) * 1_000))
  for (const wait of waits) {
    now = wait
    expect(budget.take()).toBe(0)
  }
})

test('a clock that is set back gives nothing', () => {
  let now = 10_000
  const budget = new RateBudget(1, () => now)
  expect(budget.take()).toBe(0)
  now = 0
  expect(budget.take()).toBeGreaterThan(0)
})
