import { expect, test } from 'vitest'
import { nearNames } from '../../src/policy/near-names.ts'

test.each([
  ['relaese', ['release', 'coder'], ['release']],
  ['gihub', ['jwt', 'github', 'aws'], ['github']],
  ['Github', ['github'], ['github']],
  ['release', ['orders-release', 'releases', 'coder'], ['releases', 'orders-release']],
  ['aw', ['aws', 'jwt'], ['aws']],
  ['nobody', ['release', 'coder'], []],
  ['', ['a', 'release'], ['a']],
])('near %j of %j are %j', (wanted, names, near) => {
  expect(nearNames(wanted, names)).toEqual(near)
})

test('at most five are named, the nearest first', () => {
  const names = ['agent-12', 'agent-1', ...Array.from({ length: 20 }, (_, index) => `agent-${index + 20}`)]
  const near = nearNames('agent-1', names)
  expect(near).toHaveLength(5)
  expect(near.slice(0, 2)).toEqual(['agent-1', 'agent-12'])
})
