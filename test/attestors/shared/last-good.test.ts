import { expect, test } from 'vitest'
import { elapsedMs, keepLastGood } from '../../../attestors/shared/last-good.ts'

test('what cannot be read leaves the last good value, until it is too old', async () => {
  let clockMs = 1_000
  let answer: () => Promise<string> = async () => 'first'
  const kept = keepLastGood(
    () => answer(),
    () => clockMs,
  )
  expect(kept.within(Number.POSITIVE_INFINITY)).toBeUndefined()
  await kept.readAfter(10)
  expect(kept).toMatchObject({ value: 'first', readAtMs: 1_000, failure: undefined })

  answer = () => Promise.reject(new Error('out'))
  clockMs = 1_010
  await kept.readAfter(10)
  expect(kept).toMatchObject({ value: 'first', readAtMs: 1_000, failure: 'out' })
  expect(kept.within(11)).toBe('first')
  expect(kept.within(10)).toBeUndefined()

  // A failed read is an attempt too: the next one waits as long.
  answer = async () => 'second'
  await kept.readAfter(10)
  expect(kept.value).toBe('first')
  clockMs = 1_020
  await kept.readAfter(10)
  expect(kept).toMatchObject({ value: 'second', readAtMs: 1_020, failure: undefined })
})

test('those who come during a read wait for that one', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  let reads = 0
  const kept = keepLastGood(
    () => {
      reads += 1
      return promise
    },
    () => 0,
  )
  const all = [kept.readAfter(0), kept.readAfter(Number.POSITIVE_INFINITY)]
  resolve('good')
  await Promise.all(all)
  expect([reads, kept.value]).toEqual([1, 'good'])
  await kept.readAfter(0)
  expect(reads).toBe(2)
})

test('a read that fails before it begins does not stand in the way of the next', async () => {
  let isBroken = true
  const kept = keepLastGood<string>(
    () => {
      if (isBroken) throw new Error('not even a promise')
      return Promise.resolve('good')
    },
    () => 0,
  )
  await kept.readAfter(0)
  expect(kept.failure).toBe('not even a promise')
  isBroken = false
  await kept.readAfter(0)
  expect(kept).toMatchObject({ value: 'good', failure: undefined })
})

test('a clock that was set back counts as having run', () => {
  expect(elapsedMs(5, 6)).toBe(Number.POSITIVE_INFINITY)
  expect(elapsedMs(6, 6)).toBe(0)
})
