import { expect, test } from 'vitest'
import { EXIT } from '../../src/cli/terminal.ts'
import { refusedUsage } from './in-process.ts'

test.each([
  ['no evidence', ['task', 'open', '--purpose', 'x'], '--evidence-file FILE, or - for stdin'],
  ['no purpose', ['task', 'open'], '--purpose'],
  ['no task', ['task', 'show'], 'which task?'],
  ['an id that is none', ['task', 'complete', '../../etc/passwd'], 'is not the id of a task'],
  ['an outcome that is none', ['task', 'complete', '--outcome', 'fine'], 'completed, failed, cancelled'],
  ['two asks', ['token', '--ask', 'jwt=a#', '--ask', 'jwt=b#'], 'one --ask'],
  ['http to another machine', ['token', '--ask', 'jwt=a#', '--broker', 'http://example.com'], 'in the clear'],
  ['no target', ['revoke', '--reason', 'x'], 'say what to revoke'],
  [
    'everything, and something',
    ['revoke', '--everything', '--task', 'tsk_x', '--reason', 'x'],
    'say what to revoke',
  ],
  ['no reason', ['revoke', '--everything'], '--reason'],
  [
    'an unregistered name that is not held',
    ['revoke', '--agent', 'x', '--unregistered', '--reason', 'x'],
    'goes with --hold',
  ],
  ['a state that is none', ['leases', '--state', 'dead'], 'Allowed choices'],
  ['settings without --offline', ['revoke', '--everything', '--reason', 'x', '--config', 'y'], '--offline'],
  ['no operator token', ['leases'], 'mayfly operator init'],
  ['no ask for exec', ['exec', '--', 'true'], 'at least one --ask'],
  ['no command for exec', ['exec', '--ask', 'jwt=a#'], "missing required argument 'command'"],
  ['minutes that are no number', ['token', '--ask', 'jwt=a#', '--minutes', '1h'], 'Expected a whole number'],
  ['an unknown option', ['leases', '--stat', 'active'], "unknown option '--stat'"],
  [
    'two credentials under one name',
    ['exec', '--ask', 'g=a/b:contents:read', '--ask', 'h=a/b:contents:read', '--', 'true'],
    'two asks would both be GH_TOKEN',
  ],
  [
    'two issuers whose variables are one',
    ['exec', '--ask', 'a-b=x#', '--ask', 'a-b=y#', '--', 'true'],
    'MAYFLY_TOKEN_A_B',
  ],
  [
    'a style of environment that is none',
    ['exec', '--env', 'files', '--ask', 'jwt=a#', '--', 'true'],
    'Allowed',
  ],
  [
    'two sessions where SDKs know one place to ask',
    [
      'exec',
      ...['a', 'b'].flatMap(name => ['--ask', `${name}=arn:aws:iam::123456789012:role/r#s3:*@*`]),
      '--',
      'x',
    ],
    'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  ],
  ['evidence for an agent that is read once', ['agent', '--evidence-file', '-'], 'not stdin'],
  ['a first task for nothing', ['agent', '--ask', 'jwt=a#'], 'say what the first task is for'],
  ['a session of no task', ['aws-credentials'], 'there is no task to take a session from'],
  [
    'a session of two asks',
    ['aws-credentials', '--ask', 'jwt=a#', '--handle', 'ask_1'],
    'one session is printed',
  ],
  ['a file of a task beside nothing', ['task', 'show', 'tsk_x'], 'is not the id of a task'],
])('%s: what is wrong is said, and what was expected', async (_, args, expected) => {
  const { code, err } = await refusedUsage(args)
  expect(err).toContain(expected)
  expect(code).toBe(EXIT.usage)
})

test('a job that may not ask for an ID token is told how', async () => {
  const { err } = await refusedUsage(['token', '--ask', 'jwt=a#'], { GITHUB_ACTIONS: 'true' })
  expect(err).toContain('permissions: { id-token: write }')
})
