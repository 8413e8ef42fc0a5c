import { describe, expect, test } from 'vitest'
import { conditionFault, conditionsHold, matchesPattern } from './conditions.ts'

const CONTEXT = new Map([
  ['aws:currenttime', ['2026-01-31T12:00:00Z']],
  ['aws:userid', ['AROAX:lse_1']],
  ['aws:principaltag/level', ['5']],
  ['aws:securetransport', ['true']],
  ['aws:tagkeys', ['team', 'stage']],
])

/** A policy variable as it stands in a document. */
const variable = (name: string) => `$${`{${name}}`}`

const holds: [string, string, string | string[]][] = [
  ['StringEquals', 'AWS:UserId', 'AROAX:lse_1'],
  ['StringEquals', 'aws:userid', ['AROAX:lse_0', 'AROAX:lse_1']],
  ['StringEquals', 'aws:userid', variable('aws:userid')],
  ['StringNotEquals', 'aws:userid', ['AROAX:lse_0', 'AROAX:lse_2']],
  ['StringNotEquals', 'aws:SourceIdentity', 'anything'],
  ['StringLike', 'aws:userid', 'AROAX:*'],
  ['StringNotLike', 'aws:userid', '*:lse_2'],
  ['StringEqualsIgnoreCase', 'aws:userid', 'aroax:LSE_1'],
  ['StringEqualsIfExists', 'aws:SourceIdentity', 'anything'],
  ['DateLessThan', 'aws:CurrentTime', '2026-01-31T12:00:01Z'],
  ['DateLessThan', 'aws:CurrentTime', '2026-01-31T13:00:01+01:00'],
  ['DateLessThan', 'aws:CurrentTime', '1769860801'],
  ['DateLessThanEquals', 'aws:CurrentTime', '2026-01-31T12:00:00Z'],
  ['DateGreaterThan', 'aws:CurrentTime', '2026-01-31'],
  ['NumericLessThan', 'aws:PrincipalTag/level', '10'],
  ['NumericGreaterThanEquals', 'aws:PrincipalTag/level', '5'],
  ['Bool', 'aws:SecureTransport', 'TRUE'],
  ['Null', 'aws:SourceIdentity', 'true'],
  ['Null', 'aws:userid', 'false'],
  ['ForAnyValue:StringEquals', 'aws:TagKeys', 'team'],
  ['ForAllValues:StringEquals', 'aws:TagKeys', ['team', 'stage', 'other']],
  ['ForAllValues:StringEquals', 'aws:Missing', 'team'],
  ['ArnLike', 'aws:userid', 'AROA?:lse_*'],
]

const fails: [string, string, string | string[]][] = [
  ['StringEquals', 'aws:userid', 'aroax:lse_1'],
  ['StringEquals', 'aws:userid', 'AROAX:*'],
  ['StringEquals', 'aws:SourceIdentity', 'anything'],
  ['StringNotEquals', 'aws:userid', ['AROAX:lse_0', 'AROAX:lse_1']],
  ['StringLike', 'aws:userid', `AROAX:${variable('*')}`],
  ['StringLike', 'aws:userid', 'ROAX:*'],
  ['DateLessThan', 'aws:CurrentTime', '2026-01-31T12:00:00Z'],
  ['DateLessThan', 'aws:TokenIssueTime', '2036-01-31T12:00:00Z'],
  ['DateGreaterThan', 'aws:CurrentTime', '2026-01-31T12:00:00Z'],
  ['NumericLessThan', 'aws:PrincipalTag/level', '5'],
  ['Bool', 'aws:SecureTransport', 'false'],
  ['Bool', 'aws:MultiFactorAuthPresent', 'false'],
  ['Null', 'aws:SourceIdentity', 'false'],
  ['Null', 'aws:userid', 'true'],
  ['ForAnyValue:StringEquals', 'aws:Missing', 'team'],
  ['ForAllValues:StringEquals', 'aws:TagKeys', ['team']],
  ['DateBefore', 'aws:CurrentTime', '2036-01-31T12:00:00Z'],
]

const evaluate = (operator: string, key: string, value: string | string[]) =>
  conditionsHold({ [operator]: { [key]: [value].flat() } }, CONTEXT)

describe('conditions', () => {
  test.each(holds)('%s on %s holds for %s', (...row) => expect(evaluate(...row)).toBe(true))
  test.each(fails)('%s on %s does not hold for %s', (...row) => expect(evaluate(...row)).toBe(false))

  test('of several operators and keys all must hold', () => {
    const both = {
      StringEquals: { 'aws:userid': ['AROAX:lse_1'] },
      DateLessThan: { 'aws:CurrentTime': ['2020'] },
    }
    expect(conditionsHold(both, CONTEXT)).toBe(false)
    expect(conditionsHold({}, CONTEXT)).toBe(true)
    expect(conditionsHold(undefined, CONTEXT)).toBe(true)
  })

  test.each([
    ['DateBefore', '2036-01-31'],
    ['constructor', 'x'],
    ['DateLessThan', 'tomorrow'],
    ['NumericLessThan', 'ten'],
    ['Bool', 'maybe'],
    ['IpAddress', '127.0.0.1'],
  ])('a document with %s "%s" is refused when it is written', (operator, value) => {
    expect(conditionFault({ [operator]: { 'aws:CurrentTime': [value] } })).toContain(operator)
  })
})

test.each([
  ['s3:GetObject', 's3:Get*', true],
  ['s3:GetObject', 's3:*Object', true],
  ['s3:GetObject', 's3:Get?bject', true],
  ['s3:GetObject', '*', true],
  ['s3:GetObjectAcl', 's3:*Object', false],
  ['', '*', true],
  ['', '?', false],
  ['a.c', 'a?c', true],
  ['abc', 'a.c', false],
  [`${'a'.repeat(5000)}b`, `${'a*'.repeat(500)}c`, false],
])('%s matches %s: %s', (text, pattern, expected) => expect(matchesPattern(text, pattern)).toBe(expected))
