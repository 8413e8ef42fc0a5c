/** The claims of one ordinary job on github.com: a push to main of acme/api, deploying to production. */
export type Claims = Record<string, unknown>

/** Without iss, aud and times. `overrides` come last; an `undefined` takes a claim out. */
export function githubClaims(overrides: Claims = {}): Claims {
  const claims: Claims = {
    repository: 'acme/api',
    repository_id: '501',
    repository_owner: 'acme',
    repository_owner_id: '77',
    repository_visibility: 'private',
    actor: 'ada',
    actor_id: '9001',
    event_name: 'push',
    ref: 'refs/heads/main',
    ref_type: 'branch',
    ref_protected: 'true',
    head_ref: '',
    base_ref: '',
    sha: '1d2c3b4a5968778695a4b3c2d1e0f0e1d2c3b4a5',
    workflow: 'deploy',
    workflow_ref: 'acme/api/.github/workflows/deploy.yml@refs/heads/main',
    workflow_sha: '1d2c3b4a5968778695a4b3c2d1e0f0e1d2c3b4a5',
    job_workflow_ref: 'acme/api/.github/workflows/deploy.yml@refs/heads/main',
    job_workflow_sha: '1d2c3b4a5968778695a4b3c2d1e0f0e1d2c3b4a5',
    run_id: '1900100200',
    run_number: '12',
    run_attempt: '1',
    check_run_id: '5512345678',
    runner_environment: 'github-hosted',
    ...overrides,
  }
  return { sub: subjectOf(claims), ...claims }
}

/** The subject in the form with ids; the environment beats the event, the event the ref. */
export function subjectOf(claims: Claims): string {
  const [owner, name] = String(claims.repository).split('/')
  const repository = `repo:${owner}@${claims.repository_owner_id}/${name}@${claims.repository_id}`
  if (claims.environment !== undefined) return `${repository}:environment:${claims.environment}`
  if (claims.event_name === 'pull_request') return `${repository}:pull_request`
  return `${repository}:ref:${claims.ref}`
}
