/** Asks of the AWS issuer: what is well-formed, what covers what, and what policy is told. No AWS needed. */
import { describe, expect, test } from 'vitest'
import { awsAsk, awsCovers, awsFacts } from '../../issuers/shared/aws-ask.ts'

const awsIssuer = { ask: awsAsk, covers: awsCovers, facts: awsFacts }
const ROLE = 'arn:aws:iam::123456789012:role/deploy'

describe('asks', () => {
  const statement = { actions: ['s3:GetObject'], resources: ['arn:aws:s3:::a/*'] }
  const refused: [string, object][] = [
    ['no statement', { role: ROLE, statements: [] }],
    ['a statement without actions', { role: ROLE, statements: [{ ...statement, actions: [] }] }],
    ['a statement without resources', { role: ROLE, statements: [{ ...statement, resources: [] }] }],
    ['an unknown key in a statement', { role: ROLE, statements: [{ ...statement, Effect: 'Allow' }] }],
    ['a condition of its own', { role: ROLE, statements: [{ ...statement, conditions: {} }] }],
    ['a role with a wildcard', { role: 'arn:aws:iam::123456789012:role/*', statements: [statement] }],
    ['a user for a role', { role: 'arn:aws:iam::123456789012:user/bob', statements: [statement] }],
    ['a role by name', { role: 'deploy', statements: [statement] }],
    ['an action without a service', { role: ROLE, statements: [{ ...statement, actions: ['GetObject'] }] }],
    ['a wildcard service', { role: ROLE, statements: [{ ...statement, actions: ['s*:Get'] }] }],
    ['a quote in an action', { role: ROLE, statements: [{ ...statement, actions: ['s3:Get"'] }] }],
    ['a bare resource', { role: ROLE, statements: [{ ...statement, resources: ['a/*'] }] }],
    [
      'a policy variable',
      { role: ROLE, statements: [{ ...statement, resources: ['arn:aws:s3:::a/$' + '{aws:username}'] }] },
    ],
    [
      'a space in a resource',
      { role: ROLE, statements: [{ ...statement, resources: ['arn:aws:s3:::a b'] }] },
    ],
    ['a flag as text', { role: ROLE, statements: [statement], allow_iam_writes: 'yes' }],
    ['role chaining unflagged', { role: ROLE, statements: [{ ...statement, actions: ['sts:AssumeRole'] }] }],
    [
      'an identity token unflagged',
      { role: ROLE, statements: [{ ...statement, actions: ['sts:getwebidentitytoken'] }] },
    ],
    ['an IAM write unflagged', { role: ROLE, statements: [{ ...statement, actions: ['iam:CreateUser'] }] }],
    ['passing a role unflagged', { role: ROLE, statements: [{ ...statement, actions: ['iam:PassRole'] }] }],
  ]
  test.each(refused)('%s: refused', (_, input) => {
    expect(awsIssuer.ask.safeParse(input).success).toBe(false)
  })

  test('flags are always there once parsed, lists are in order and without repeats', () => {
    const parsed = awsIssuer.ask.parse({
      role: ROLE,
      statements: [{ actions: ['s3:PutObject', 's3:GetObject', 's3:PutObject'], resources: ['*'] }],
    })
    expect(parsed).toEqual({
      role: ROLE,
      statements: [{ actions: ['s3:GetObject', 's3:PutObject'], resources: ['*'] }],
      allow_role_chaining: false,
      allow_iam_writes: false,
    })
  })
})

describe('covers', () => {
  const covers = (ceiling: [string, string][], wanted: [string, string][], flags: object = {}) => {
    const { ask, covers } = awsIssuer
    const parse = (pairs: [string, string][], more: object) =>
      ask.parse({
        role: ROLE,
        statements: pairs.map(([action, resource]) => ({ actions: [action], resources: [resource] })),
        ...more,
      })
    return covers(parse(ceiling, {}), parse(wanted, flags))
  }
  const a = 'arn:aws:s3:::a/*'
  const b = 'arn:aws:s3:::b/*'

  test.each<[string, [string, string][], [string, string][], boolean]>([
    ['a wildcard covers a name', [['s3:Get*', a]], [['s3:GetObject', 'arn:aws:s3:::a/x']], true],
    ['action case does not matter', [['s3:getobject', a]], [['s3:GetObject', a]], true],
    ['resource case does', [['s3:GetObject', 'arn:aws:s3:::A/*']], [['s3:GetObject', a]], false],
    ['a name does not cover a wildcard', [['s3:GetObject', a]], [['s3:Get*', a]], false],
    [
      'one letter does not cover any run',
      [['s3:GetObject', 'arn:aws:s3:::a/?']],
      [['s3:GetObject', a]],
      false,
    ],
    [
      'no pairs across statements',
      [
        ['s3:GetObject', a],
        ['s3:PutObject', b],
      ],
      [['s3:PutObject', a]],
      false,
    ],
    [
      'each pair may lie in another statement',
      [
        ['s3:GetObject', a],
        ['s3:PutObject', b],
      ],
      [
        ['s3:PutObject', b],
        ['s3:GetObject', a],
      ],
      true,
    ],
    ['everything is covered by everything only', [['s3:*', '*']], [['*', '*']], false],
    ['another service is not', [['s3:*', '*']], [['ec2:RunInstances', '*']], false],
    [
      'a wildcard does not reach across a colon',
      [['s3:GetObject', 'arn:aws:*:::x/*']],
      [['s3:GetObject', 'arn:aws:s3:eu:1:x/y']],
      false,
    ],
    [
      'a prefix is not a folder',
      [['s3:GetObject', 'arn:aws:s3:::a/*']],
      [['s3:GetObject', 'arn:aws:s3:::ab/*']],
      false,
    ],
  ])('%s', (_, ceiling, wanted, answer) => {
    expect(covers(ceiling, wanted)).toBe(answer)
  })

  test('a flag must be in the ceiling, and another role is another role', () => {
    expect(covers([['*', '*']], [['*', '*']], { allow_iam_writes: true })).toBe(false)
    expect(covers([['*', '*']], [['*', '*']], { allow_role_chaining: true })).toBe(false)
    expect(covers([['*', '*']], [['*', '*']], { role: `${ROLE}-2` })).toBe(false)
  })
})

test.each([
  [['s3:GetObject', 'ec2:DescribeInstances', 's3:List*'], 'read', false],
  [['lambda:InvokeFunction'], 'execute', false],
  [['s3:PutObject'], 'deploy', false],
  [['s3:PutBucketPolicy'], 'deploy', true],
  [['s3:putbucketpolicy'], 'deploy', true],
  [['s3:Put*'], 'deploy', true],
  [['lambda:AddPermission'], 'deploy', true],
  [['s3:*'], 'transact', true],
  [['*'], 'transact', true],
  [['kms:CreateGrant'], 'transact', true],
  [['secretsmanager:GetSecretValue'], 'read', true],
  [['sts:GetCallerIdentity'], 'read', false],
  [['iam:GetRole', 'iam:List*'], 'read', false],
])('facts of %o: %s, may leave access: %s', (actions, phase, mayLeaveAccess) => {
  const { ask, facts } = awsIssuer
  const parsed = ask.parse({ role: ROLE, statements: [{ actions, resources: ['*'] }] })
  expect(facts(parsed)).toMatchObject({ phase, mayLeaveAccess })
})

test('flags are facts', () => {
  const { ask, facts } = awsIssuer
  const read = { role: ROLE, statements: [{ actions: ['s3:GetObject'], resources: ['*'] }] }
  expect(facts(ask.parse({ ...read, allow_iam_writes: true }))).toMatchObject({
    phase: 'transact',
    mayLeaveAccess: true,
  })
  expect(facts(ask.parse({ ...read, allow_role_chaining: true }))).toMatchObject({ mayLeaveAccess: true })
})
