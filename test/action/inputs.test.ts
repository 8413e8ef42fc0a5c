import { describe, expect, test } from 'vitest'
import type { Inputs } from '../../action/src/input-text.ts'
import { readInputs } from '../../action/src/inputs.ts'
import { StepError } from '../../action/src/job.ts'

const ROLE = 'arn:aws:iam::123456789012:role/deploy'
const read = { 'permission-contents': 'read' }

function step(inputs: Record<string, string>, env: Record<string, string> = {}): Inputs {
  const named = Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])
  const whole: Record<string, string> = {
    ...{ GITHUB_REPOSITORY: 'acme/api', MAYFLY_URL: 'https://mayfly.test', ...env },
    ...Object.fromEntries(named),
  }
  return { env: whole, input: name => (whole[`INPUT_${name.toUpperCase()}`] ?? '').trim() }
}

const asksOf = (inputs: Record<string, string>) =>
  readInputs(step(inputs)).asks.map(({ kind, ask }) => [kind, ask])
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

test.each<[string, Record<string, string>, unknown]>([
  [
    'this repository alone, where none is named',
    { 'permission-pull-requests': ' write ', 'permission-contents': 'read' },
    [
      'token',
      {
        type: 'github',
        repositories: ['acme/api'],
        permissions: { contents: 'read', pull_requests: 'write' },
      },
    ],
  ],
  [
    'repositories with commas and on lines, of this owner or with their own',
    { ...read, repositories: 'web, acme/docs\n\n tool ' },
    [
      'token',
      {
        type: 'github',
        repositories: ['acme/web', 'acme/docs', 'acme/tool'],
        permissions: { contents: 'read' },
      },
    ],
  ],
  [
    'repositories of another owner, from another issuer',
    { ...read, owner: 'other', repositories: 'x', 'github-issuer': 'github-read' },
    ['token', { type: 'github-read', repositories: ['other/x'], permissions: { contents: 'read' } }],
  ],
  [
    'the owner of this repository is no more than this repository',
    { ...read, owner: 'Acme' },
    ['token', { type: 'github', repositories: ['acme/api'], permissions: { contents: 'read' } }],
  ],
  [
    'a permission that is newer than this action',
    { 'permission-new-thing': 'admin' },
    ['token', { type: 'github', repositories: ['acme/api'], permissions: { new_thing: 'admin' } }],
  ],
  [
    'a role, narrowed',
    {
      'aws-role': ROLE,
      'aws-actions': 's3:GetObject,s3:PutObject',
      'aws-resources': 'arn:aws:s3:::a/*\narn:aws:s3:::b/*',
    },
    [
      'aws',
      {
        ...{ type: 'aws', role: ROLE },
        statements: [
          { actions: ['s3:GetObject', 's3:PutObject'], resources: ['arn:aws:s3:::a/*', 'arn:aws:s3:::b/*'] },
        ],
      },
    ],
  ],
  [
    'a role, narrowed by a policy document',
    {
      'role-to-assume': ROLE,
      'inline-session-policy': JSON.stringify({
        Version: '2012-10-17',
        Statement: { Sid: 'x', Effect: 'Allow', Action: 's3:GetObject', Resource: ['*'] },
      }),
    },
    ['aws', { type: 'aws', role: ROLE, statements: [{ actions: ['s3:GetObject'], resources: ['*'] }] }],
  ],
  ['a JWT', { 'jwt-audience': 'https://x.test' }, ['jwt', { type: 'jwt', audience: 'https://x.test' }]],
  [
    'anything, as YAML',
    { asks: '- type: payments.db\n  database: orders' },
    ['other', { type: 'payments.db', database: 'orders' }],
  ],
  ['anything, as JSON', { asks: '{"type":"jwt","audience":"x"}' }, ['jwt', { type: 'jwt', audience: 'x' }]],
])('asks for %s', (_, inputs, expected) => {
  expect(plain(asksOf(inputs))).toEqual([expected])
})

test.each<[string, Record<string, string>, string]>([
  ['nothing', {}, 'asks for nothing'],
  ['repositories without a permission', { repositories: 'api' }, 'none does not mean all'],
  ['all of another owner', { ...read, owner: 'other' }, 'which is never given'],
  [
    'a repository of another owner',
    { ...read, owner: 'acme', repositories: 'other/x' },
    'is not of the owner',
  ],
  ['an unknown level', { 'permission-contents': 'maintain' }, 'is not read, write or admin'],
  ['a whole role', { 'aws-role': ROLE }, 'a role is never given whole'],
  ['two roles', { 'aws-role': ROLE, 'role-to-assume': ROLE }, 'two names of one input'],
  ['actions on nothing', { 'aws-role': ROLE, 'aws-actions': 's3:*' }, 'belong together'],
  ['actions of nobody', { 'aws-actions': 's3:*', 'aws-resources': '*' }, 'aws-role is missing'],
  ['scopes of nobody', { 'jwt-scopes': 'a' }, 'jwt-audience is missing'],
  ['a condition', { 'aws-role': ROLE, 'inline-session-policy': policy({ Condition: {} }) }, '"Condition"'],
  ['a denial', { 'aws-role': ROLE, 'inline-session-policy': policy({ Effect: 'Deny' }) }, 'another Effect'],
  ['all but', { 'aws-role': ROLE, 'inline-session-policy': policy({ NotAction: 'x' }) }, '"NotAction"'],
  ['no statement', { 'aws-role': ROLE, 'inline-session-policy': '{}' }, 'no Statement'],
  ['no JSON', { 'aws-role': ROLE, 'inline-session-policy': 'x' }, 'not JSON'],
  ['no asks', { asks: '"x"' }, 'entry 1 is not an object with a type'],
  ['broken asks', { asks: '- type: [s3cr3t' }, 'neither JSON nor YAML (line 1'],
  ['an alias', { asks: '- &a { type: x }\n- *a' }, 'neither JSON nor YAML'],
  [
    'two of one output',
    { ...read, asks: '{"type":"github","repository_ids":[1],"permissions":{}}' },
    'once for each',
  ],
  [
    'too much',
    { asks: JSON.stringify(Array.from({ length: 17 }, (_, n) => ({ type: `t${n}` }))) },
    'at most 16',
  ],
  ['no address', { ...read, url: '', MAYFLY_URL: '' }, 'url is missing'],
  ['a life of its own', { ...read, lifetime: 'day' }, 'Expected step, job or run'],
  ['a step without a command', { ...read, lifetime: 'step' }, 'lifetime: step needs run'],
  ['a command that outlives its step', { ...read, lifetime: 'job', run: 'x' }, 'two things'],
  ['a command on Windows', { ...read, run: 'x', RUNNER_OS: 'Windows' }, 'use mayfly exec'],
  ['exports of a command', { ...read, run: 'x', 'export-env': 'true' }, 'for the steps that follow'],
  ['half an export', { ...read, 'export-env': 'yes' }, 'neither true nor false'],
  ['no minutes', { ...read, minutes: '0' }, 'whole number from 1 to 1440'],
  ['half a minute', { ...read, minutes: '0.5' }, 'whole number'],
  ['to wait for ever', { ...read, 'wait-for-approval': '99999' }, 'whole number from 0 to 21600'],
  ['a long story', { ...read, purpose: 'x'.repeat(501) }, 'longer than 500'],
])('refuses %s', (_, inputs, expected) => {
  const { MAYFLY_URL, RUNNER_OS, ...rest } = inputs
  const env = { ...(MAYFLY_URL === undefined ? {} : { MAYFLY_URL }), ...(RUNNER_OS && { RUNNER_OS }) }
  const refused = () => readInputs(step(rest, env))
  expect(refused).toThrow(StepError)
  expect(refused).toThrow(expected)
  // What an input holds may be a secret that somebody put in the wrong place.
  expect(refused).not.toThrow('s3cr3t')
})

function policy(members: object): string {
  return JSON.stringify({ Statement: [{ Effect: 'Allow', Action: 'a:b', Resource: '*', ...members }] })
}

describe('lifetime', () => {
  test.each<[string, Record<string, string>, unknown]>([
    ['a command: its step', { run: 'make' }, { lifetime: 'step', script: 'make' }],
    ['otherwise: its job', {}, { lifetime: 'job', exported: 'nothing' }],
    ['its run, where that is said', { lifetime: 'run' }, { lifetime: 'run', exported: 'nothing' }],
    ['exported where that is said', { 'export-env': 'true' }, { lifetime: 'job', exported: 'everything' }],
  ])('%s', (_, inputs, expected) => {
    expect(readInputs(step({ ...read, ...inputs }))).toMatchObject(expected as object)
  })

  test('whoever writes role-to-assume is used to the variables; it can be said that they are not wanted', () => {
    const inputs = { 'role-to-assume': ROLE, 'aws-actions': 's3:*', 'aws-resources': '*' }
    expect(readInputs(step(inputs))).toMatchObject({ exported: 'aws' })
    expect(readInputs(step({ ...inputs, 'export-env': 'false' }))).toMatchObject({ exported: 'nothing' })
    const { 'role-to-assume': role, ...rest } = inputs
    expect(readInputs(step({ ...rest, 'aws-role': role }))).toMatchObject({ exported: 'nothing' })
  })
})
