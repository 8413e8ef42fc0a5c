/** Jobs that did not happen, to try on a policy who gets in. */

export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com'

/** `undefined` of a probe: whatever the policy wants there. */
export type Probe = {
  issuer: string
  subject: string | undefined
  claims: Readonly<Record<string, string>> | undefined
}

/** Jobs of another owner, in both forms of subject, with claims as such a job has them. */
export function strangerProbes(owner: string): (Probe & { subject: string })[] {
  const wheres = ['ref:refs/heads/main', 'ref:refs/tags/v1', 'environment:production', 'pull_request']
  const repositories = [`${owner}/app`, `${owner}@666/app@667`]
  return repositories.flatMap(repository =>
    wheres.map(where => ({
      issuer: GITHUB_ISSUER,
      subject: `repo:${repository}:${where}`,
      claims: jobClaims(owner, where),
    })),
  )
}

/** As GitHub writes them for a job of `owner/app`, with id 666 of the owner and 667 of the repository. */
export function jobClaims(owner: string, where: string): Record<string, string> {
  const ref = where.startsWith('ref:') ? where.slice('ref:'.length) : 'refs/heads/main'
  const workflow = `${owner}/app/.github/workflows/ci.yml@${ref}`
  return {
    ...{
      repository: `${owner}/app`,
      repository_id: '667',
      repository_owner: owner,
      repository_owner_id: '666',
    },
    ...{ ref, ref_type: ref.startsWith('refs/tags/') ? 'tag' : 'branch', ref_protected: 'true' },
    ...{ workflow: 'ci', workflow_ref: workflow, job_workflow_ref: workflow, actor: owner, actor_id: '666' },
    event_name: where === 'pull_request' ? 'pull_request' : 'push',
    ...{ environment: 'production', runner_environment: 'github-hosted', repository_visibility: 'public' },
    ...{ sha: '0'.repeat(40), workflow_sha: '0'.repeat(40), run_id: '1', run_number: '1', run_attempt: '1' },
  }
}
