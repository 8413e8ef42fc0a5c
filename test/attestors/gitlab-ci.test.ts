import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { gitlabCi } from '../../attestors/gitlab-ci.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createIssuerSubject } from './issuer-subject.ts'
import { openTypedStage, type TypedStage } from './typed-stage.ts'

/** A push to main of acme/api, deploying to a protected environment. */
const CLAIMS = {
  sub: 'project_path:acme/api:ref_type:branch:ref:main',
  namespace_id: '77',
  namespace_path: 'acme',
  project_id: '501',
  project_path: 'acme/api',
  user_id: '9001',
  user_login: 'ada',
  pipeline_id: '1900100200',
  pipeline_source: 'push',
  job_id: '5512345678',
  ref: 'main',
  ref_type: 'branch',
  ref_path: 'refs/heads/main',
  ref_protected: 'true',
  environment: 'production',
  environment_protected: 'true',
  runner_id: 12,
  runner_environment: 'gitlab-hosted',
  sha: '1d2c3b4a5968778695a4b3c2d1e0f0e1d2c3b4a5',
  project_visibility: 'private',
}

describeAttestor('gitlab-ci', () => createIssuerSubject(gitlabCi, CLAIMS))

let stage: TypedStage
beforeAll(async () => {
  stage = await openTypedStage(gitlabCi, CLAIMS)
})
afterAll(() => stage.close())

test('a job is proven with its claims, and with the job that it is', async () => {
  const { host } = new URL(stage.issuer)
  expect(await stage.attest({ invented: 'x' })).toMatchObject({
    ok: true,
    proof: {
      subject: CLAIMS.sub,
      claims: { project_id: '501', ref_protected: 'true', environment: 'production', runner_id: 12 },
      work: {
        ...{ provider: host, repository: '501', repositoryName: 'acme/api' },
        ...{ run: '1900100200', attempt: '1', job: '5512345678' },
      },
    },
  })
  const verdict = await stage.attest({ invented: 'x' })
  expect(verdict.ok && verdict.proof.claims).not.toHaveProperty('invented')
  expect(verdict.ok && verdict.proof.mustName).toBeUndefined()
})

test.each([
  'merge_request_event',
  'parent_pipeline',
  'pipeline',
  'trigger',
  'external_pull_request_event',
  'new',
])('a pipeline of source %s must be named by the rule', async pipeline_source => {
  expect(await stage.attest({ pipeline_source })).toMatchObject({ proof: { mustName: ['pipeline_source'] } })
})

describe('refused', () => {
  test.each([
    'project_id',
    'namespace_id',
    'pipeline_id',
    'job_id',
    'pipeline_source',
    'ref',
    'ref_protected',
  ])('%s missing', async name => {
    expect(await stage.attest({ [name]: undefined })).toMatchObject({ rejection: 'claim_missing' })
  })

  test.each([
    ['project_id', 501],
    ['project_id', '0501'],
    ['project_id', ''],
    ['job_id', '5e2'],
    ['ref_protected', true],
    ['ref_protected', 'TRUE'],
    ['environment_protected', 'yes'],
    ['environment', 'line\nbreak'],
    ['ref', ['main']],
    ['runner_id', '12'],
  ])('%s of %j', async (name, value) => {
    expect(await stage.attest({ [name]: value })).toMatchObject({ rejection: 'claim_malformed' })
  })
})
