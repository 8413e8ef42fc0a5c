import { expect, test } from 'vitest'
import { sharingNext } from '../../src/store/shared-reads.ts'

function subject() {
  const asked: { key: string; answer: (value: string) => void; fail: (error: Error) => void }[] = []
  const read = sharingNext(
    (key: string) =>
      new Promise<string>((answer, fail) => {
        asked.push({ key, answer, fail })
      }),
  )
  return { asked, read }
}

test('nobody is told what was read before it asked', async () => {
  const { asked, read } = subject()
  const first = read('k')
  const later = [read('k'), read('k'), read('k')]
  expect(asked).toHaveLength(1)
  asked[0]!.answer('before')
  expect(await first).toBe('before')
  expect(asked).toHaveLength(2)
  const last = read('k')
  asked[1]!.answer('after')
  expect(await Promise.all(later)).toEqual(['after', 'after', 'after'])
  expect(asked).toHaveLength(3)
  asked[2]!.answer('at last')
  expect(await last).toBe('at last')
})

test('keys share nothing, and when nobody asks nothing is read', async () => {
  const { asked, read } = subject()
  const both = [read('k'), read('l')]
  expect(asked.map(({ key }) => key)).toEqual(['k', 'l'])
  for (const { key, answer } of asked) answer(key)
  expect(await Promise.all(both)).toEqual(['k', 'l'])
  expect(asked).toHaveLength(2)
})

test('a failure is told to those who shared it, and to nobody after them', async () => {
  const { asked, read } = subject()
  const first = read('k')
  const second = [read('k'), read('k')]
  asked[0]!.fail(new Error('down'))
  await expect(first).rejects.toThrow('down')
  asked[1]!.answer('up')
  expect(await Promise.all(second)).toEqual(['up', 'up'])
})
