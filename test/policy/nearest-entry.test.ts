/** What is told of a ceiling that does not cover an ask: the nearest entry, and the parts that are beyond it. */
import { expect, test } from 'vitest'
import { awsAsk, awsCovers } from '../../issuers/shared/aws-ask.ts'
import { githubAsk, githubCouldCover, githubCovers } from '../../issuers/shared/github-ask.ts'
import { LIMITS } from '../../src/limits.ts'
import { nearestEntry } from '../../src/policy/nearest-entry.ts'

const github = { covers: githubCovers, couldCover: githubCouldCover } as Parameters<typeof nearestEntry>[0]
const asked = (repositories: string[], permissions: object) => githubAsk.parse({ repositories, permissions })
const repositories = (count: number) => Array.from({ length: count }, (_, index) => `acme/r${index}`)

test('of several entries the one by which least is missed, and each part that is beyond it', () => {
  const entries = [
    asked(['acme/web'], { contents: 'read' }),
    asked(['acme/api', 'acme/docs'], { contents: 'write', issues: 'write' }),
  ]
  const ask = asked(['acme/api', 'acme/payroll'], { contents: 'write', administration: 'write' })
  expect(nearestEntry(github, entries, ask)).toEqual([
    expect.stringMatching(/^nearest is \{"repositories":\[\{"name":"acme\/api"/),
    'beyond it: repositories: {"name":"acme/payroll"}',
    'beyond it: permissions: administration: "write"',
  ])
})

test('a level that is too high, of what the entry has', () => {
  const entries = [asked(['acme/api'], { contents: 'read' })]
  const [, ...beyond] = nearestEntry(github, entries, asked(['acme/api'], { contents: 'write' }))
  expect(beyond).toEqual(['beyond it: permissions: contents: "write"'])
})

test('of a statement, the actions and resources that do not fit', () => {
  const role = 'arn:aws:iam::123456789012:role/deploy'
  const of = (actions: string[], resources: string[]) =>
    awsAsk.parse({ role, statements: [{ actions, resources }] })
  const entry = of(['s3:GetObject', 's3:PutObject'], ['arn:aws:s3:::artifacts/*'])
  const ask = of(['s3:GetObject', 's3:DeleteObject'], ['arn:aws:s3:::artifacts/*'])
  const aws = { covers: awsCovers } as Parameters<typeof nearestEntry>[0]
  const [, beyond] = nearestEntry(aws, [entry], ask)
  expect(beyond).toMatch(/^beyond it: statements: .*s3:DeleteObject/)
  expect(beyond).not.toContain('s3:GetObject')
})

test('an issuer of any shape: lists, maps, plain values, and what the entry demands', () => {
  const covers = (allowed: unknown, wanted: unknown) => {
    const [a, b] = [allowed, wanted] as [Record<string, unknown>, Record<string, unknown>]
    if (b.count !== undefined && typeof b.count !== 'number') throw new Error('cannot be looked at')
    return (b.place === a.place && b.count !== undefined && b.count <= (a.count as number)) === true
  }
  const near = (wanted: object) => nearestEntry({ covers }, [{ place: 'here', count: 3 }], wanted).slice(1)
  expect(near({ place: 'there', count: 3 })).toEqual(['beyond it: place: "there"'])
  expect(near({ place: 'here' })).toEqual(['beyond it: count: nothing'])
  expect(near({ place: 'here', count: [9] })).toEqual(['beyond it: count: 9'])
  expect(nearestEntry({ covers }, [], { place: 'here' })).toEqual([])
  expect(nearestEntry({ covers: () => false }, ['a'], 'b')).toEqual(['nearest is "a"', 'beyond it: "b"'])
})

test('is told in few words, and soon, of the largest ask there is', () => {
  const permissions = { contents: 'write', issues: 'write', pull_requests: 'write' }
  const entries = Array.from({ length: 20 }, () => asked(repositories(500), permissions))
  const strange = asked(
    repositories(500).map(name => name.replace('acme', 'evil')),
    { ...permissions, administration: 'write' },
  )
  const began = performance.now()
  const lines = nearestEntry(github, entries, strange)
  expect(performance.now() - began).toBeLessThan(2_000)
  expect(lines).toHaveLength(1 + LIMITS.partsBeyond + 1)
  expect(lines.at(-1)).toBe('and more')
  for (const line of lines) expect(line.length).toBeLessThan(LIMITS.detailChars + 50)
})
