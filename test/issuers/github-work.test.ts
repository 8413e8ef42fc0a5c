import { describe, expect, test } from 'vitest'
import { readGithubEnd } from '../../issuers/shared/github-webhook.ts'
import { githubProvider, githubState } from '../../issuers/shared/github-work.ts'

describe('what GitHub says of a job', () => {
  test.each([
    ['queued', null, { state: 'waiting' }],
    ['waiting', null, { state: 'waiting' }],
    ['requested', null, { state: 'waiting' }],
    ['in_progress', null, { state: 'running' }],
    ['completed', 'success', { state: 'ended', outcome: 'completed' }],
    ['completed', 'skipped', { state: 'ended', outcome: 'completed' }],
    ['completed', 'cancelled', { state: 'ended', outcome: 'cancelled' }],
    ['completed', 'stale', { state: 'ended', outcome: 'cancelled' }],
    ['completed', 'startup_failure', { state: 'ended', outcome: 'failed' }],
    ['completed', 'a_word_of_tomorrow', { state: 'ended', outcome: 'failed' }],
    ['completed', null, { state: 'ended', outcome: 'failed' }],
    ['completed', 'action_required', { state: 'waiting' }],
    ['a_word_of_tomorrow', 'success', { state: 'waiting' }],
  ])('%s, %s', (status, conclusion, state) => {
    expect(githubState({ status, conclusion })).toEqual(state)
  })
})

test.each([
  ['https://api.github.com', 'github.com'],
  ['https://api.acme.ghe.com', 'acme.ghe.com'],
  ['https://github.acme.test/api/v3', 'github.acme.test'],
])('the API at %s is that of %s', (api, provider) => {
  expect(githubProvider(api)).toBe(provider)
})

describe('a webhook', () => {
  const repository = { id: 1, html_url: 'https://github.com/acme/api' }
  const job = { id: 7, run_id: 5, run_attempt: 2, status: 'completed', conclusion: 'success' }
  const read = (changes: object) =>
    readGithubEnd('workflow_job', { action: 'completed', repository, workflow_job: { ...job, ...changes } })

  test('names the work as the evidence does', () => {
    expect(read({})).toEqual({
      provider: 'github.com',
      repository: '1',
      run: '5',
      attempt: '2',
      job: '7',
      outcome: 'completed',
      said: 'success',
    })
  })

  test.each([
    { id: 2 ** 53 },
    { id: 7n },
    { id: '7' },
    { id: -7 },
    { id: 7.5 },
    { run_id: undefined },
    { run_attempt: 0 },
    { status: 1 },
  ])('with %o is not read', changes => {
    expect(() => read(changes)).toThrow()
  })
})
