import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { githubActions } from '../../attestors/github-actions.ts'
import { createOutbound } from '../../src/outbound.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { githubClaims } from '../fakes/identity/github-claims.ts'
import { type IdentityProvider, startIdentityProvider } from '../fakes/identity/identity-provider.ts'
import { AUDIENCE, createIssuerSubject, jwt, NOON, open } from './issuer-subject.ts'

describeAttestor('github-actions', () => createIssuerSubject(githubActions, githubClaims()))

const outbound = createOutbound({ allowLoopback: true })
let provider: IdentityProvider
beforeAll(async () => {
  provider = await startIdentityProvider({ now: () => NOON, audience: AUDIENCE })
})
afterAll(async () => {
  await provider.close()
  await outbound.close()
})

async function attest(claims: Record<string, unknown>) {
  const settings = { issuer: provider.issuer, audience: AUDIENCE }
  const attestor = open(githubActions, settings, { now: () => NOON, fetch: url => outbound.get(url) })
  return attestor.attest(jwt(await provider.mint(claims)))
}

test('a job is proven with its claims as strings', async () => {
  const verdict = await attest({ environment: 'production', enterprise_id: '2', repo_property_tier: 'gold' })
  expect(verdict).toMatchObject({
    ok: true,
    proof: {
      issuer: provider.issuer,
      subject: 'repo:acme@77/api@501:environment:production',
      claims: {
        repository_id: '501',
        repository_owner_id: '77',
        environment: 'production',
        check_run_id: '5512345678',
        run_attempt: '1',
        repo_property_tier: 'gold',
      },
    },
  })
  expect(verdict.ok && verdict.proof.mustName).toBeUndefined()
})

test('claims that GitHub does not have are not passed on', async () => {
  const verdict = await attest({ admin: 'true', environment_id: '7' })
  expect(verdict.ok && Object.keys(verdict.proof.claims)).not.toContain('admin')
})

describe('events', () => {
  test.each(['push', 'workflow_dispatch', 'schedule', 'release', 'merge_group'])(
    '%s is quiet',
    async event_name => {
      const verdict = await attest({ event_name })
      expect(verdict.ok && verdict.proof.mustName).toBeUndefined()
    },
  )

  test.each([
    ...['pull_request_target', 'issue_comment', 'workflow_run', 'pull_request', 'pull_request_review'],
    ...['issues', 'discussion_comment', 'fork', 'watch', 'check_run', 'PUSH', 'an_event_of_tomorrow'],
  ])('%s must be named by a rule', async event_name => {
    expect(await attest({ event_name })).toMatchObject({ ok: true, proof: { mustName: ['event_name'] } })
  })

  test('whatever the event, a head_ref makes it a pull request', async () => {
    const verdict = await attest({ event_name: 'push', head_ref: 'patch-1' })
    expect(verdict).toMatchObject({ ok: true, proof: { mustName: ['event_name'] } })
  })
})

describe('the job', () => {
  test('is named by ids, and by the host that its notices come from', async () => {
    expect(await attest({})).toMatchObject({
      proof: {
        work: {
          provider: '127.0.0.1',
          repository: '501',
          repositoryName: 'acme/api',
          run: '1900100200',
          attempt: '1',
          job: '5512345678',
        },
      },
    })
  })

  test('may be missing from the claims of an older server', async () => {
    for (const check_run_id of [undefined, '']) {
      const verdict = await attest({ check_run_id })
      expect(verdict).toMatchObject({ ok: true, proof: { work: { run: '1900100200' } } })
      expect(verdict).not.toHaveProperty('proof.work.job')
    }
  })
})

describe('subjects', () => {
  test.each([
    'repo:acme/api:ref:refs/heads/main',
    'repo:acme@77/api@501:ref:refs/heads/main',
    'repo:acme@77/api@501',
    'repo:acme@77/api@501:environment:a%3Ab',
    'repository_owner_id:77:environment:production',
    'repo:renamed/since:ref:refs/heads/main',
  ])('%s is kept for display', async sub => {
    expect(await attest({ sub })).toMatchObject({ ok: true, proof: { subject: sub } })
  })

  test.each([
    'repo:acme@78/api@501:ref:refs/heads/main',
    'repo:acme@77/api@502:ref:refs/heads/main',
    'repo:acme@77/api@0501:pull_request',
    'repo:acme@77/api@x',
  ])('%s contradicts the ids', async sub => {
    expect(await attest({ sub })).toMatchObject({ rejection: 'claim_malformed' })
  })
})

describe('refused claims', () => {
  const required = [
    ...['event_name', 'repository', 'repository_id', 'repository_owner', 'repository_owner_id'],
    ...['run_id', 'run_attempt'],
  ]
  test.each(required)('%s missing', async name => {
    const verdict = await attest({ sub: 'repo:acme/api', [name]: undefined })
    expect(verdict).toEqual({ ok: false, rejection: 'claim_missing', detail: name })
  })

  test.each([
    ['repository_id', 501],
    ['repository_owner_id', 77],
    ['run_id', 1900100200],
    ['run_attempt', 1],
    ['check_run_id', 5],
    ['actor_id', 9001],
    ['repository_id', '0501'],
    ['repository_id', '501 '],
    ['repository_id', '5e2'],
    ['repository_id', ''],
    ['repository_id', ['501']],
    ['repository', ''],
    ['event_name', ''],
    ['event_name', null],
    ['event_name', ['push']],
    ['ref', { name: 'main' }],
    ['ref_protected', true],
    ['workflow', 'line\nbreak'],
    ['environment', 'x'.repeat(2049)],
    ['repo_property_tier', ['gold']],
  ])('%s as %j', async (name, value) => {
    const verdict = await attest({ sub: 'repo:acme/api', [name]: value })
    expect(verdict).toMatchObject({ rejection: 'claim_malformed' })
  })

  test('more repository properties than anybody has', async () => {
    const many = Object.fromEntries([...Array(129).keys()].map(n => [`repo_property_${n}`, 'x']))
    expect(await attest(many)).toMatchObject({ rejection: 'claim_malformed' })
  })
})

describe('settings', () => {
  test.each([
    ['https://token.actions.githubusercontent.com', 'https://github.com/acme'],
    ['https://token.actions.githubusercontent.com', 'https://github.com/acme/'],
    ['https://token.actions.githubusercontent.com', 'https://GitHub.com/acme'],
    ['https://token.actions.githubusercontent.com/acme-corp', 'https://github.com/acme'],
    ['https://token.actions.acme.ghe.com', 'https://acme.ghe.com/platform'],
    ['https://ghes.acme.test/_services/token', 'https://ghes.acme.test/platform'],
  ])('under %s the default audience %s is refused', (issuer, audience) => {
    expect(githubActions.settings.safeParse({ issuer, audience }).success).toBe(false)
  })

  test.each([
    'https://token.actions.githubusercontent.com',
    'https://token.actions.githubusercontent.com/acme-corp',
    'https://token.actions.acme.ghe.com',
    'https://ghes.acme.test/_services/token',
  ])('the issuer %s goes with an audience of our own', issuer => {
    expect(githubActions.settings.safeParse({ issuer, audience: 'mayfly' }).success).toBe(true)
  })

  test('the audience is required, the issuer is github.com', () => {
    expect(githubActions.settings.safeParse({}).success).toBe(false)
    expect(githubActions.settings.parse({ audience: 'mayfly' })).toMatchObject({
      issuer: 'https://token.actions.githubusercontent.com',
    })
  })
})
