/** The Actions API of jobs and runs: what a broker asks to learn whether a job is over. */
import { authorize } from './access.ts'
import { notFound } from './answer.ts'
import { type Call, type Handler, paged } from './handler.ts'
import { iso, nodeId, renderRepository } from './render.ts'
import type { JobRecord, RepositoryRecord, RunRecord } from './state.ts'

export const listJobsForAttempt: Handler = call => {
  const repository = authorize(call, { permission: 'actions', level: 'read' })
  const run = runOf(call, repository, Number(call.params.run_id))
  const attempt = Number(call.params.attempt_number)
  const jobs = [...call.state.jobs.values()].filter(job => job.runId === run.id && job.runAttempt === attempt)
  if (jobs.length === 0) throw notFound()
  const { items, headers } = paged(call, jobs)
  const body = {
    total_count: jobs.length,
    jobs: items.map(job => renderJob(call.origin, repository, run, job)),
  }
  return { status: 200, headers, body }
}

export const getJob: Handler = call => {
  const repository = authorize(call, { permission: 'actions', level: 'read' })
  const job = call.state.jobs.get(Number(call.params.job_id))
  if (job === undefined) throw notFound()
  return { status: 200, body: renderJob(call.origin, repository, runOf(call, repository, job.runId), job) }
}

export const getRunAttempt: Handler = call => {
  const repository = authorize(call, { permission: 'actions', level: 'read' })
  const run = runOf(call, repository, Number(call.params.run_id))
  const attempt = Number(call.params.attempt_number)
  if (![...call.state.jobs.values()].some(job => job.runId === run.id && job.runAttempt === attempt)) {
    throw notFound()
  }
  return { status: 200, body: renderRun(call.origin, repository, run, attempt) }
}

/** A run of another repository is not there. */
function runOf(call: Call, repository: RepositoryRecord, runId: number): RunRecord {
  const run = call.state.runs.get(runId)
  if (run === undefined || run.repositoryId !== repository.id) throw notFound()
  return run
}

export function renderJob(origin: string, repository: RepositoryRecord, run: RunRecord, job: JobRecord) {
  const api = `${origin}/repos/${repository.owner}/${repository.name}`
  const html = `${origin}/${repository.owner}/${repository.name}/actions/runs/${run.id}/job/${job.id}`
  return {
    id: job.id,
    node_id: nodeId('Job', job.id),
    run_id: run.id,
    run_attempt: job.runAttempt,
    run_url: `${api}/actions/runs/${run.id}`,
    url: `${api}/actions/jobs/${job.id}`,
    html_url: html,
    check_run_url: `${api}/check-runs/${job.id}`,
    head_sha: run.headSha,
    head_branch: run.headBranch,
    workflow_name: run.name,
    name: job.name,
    status: job.status,
    conclusion: job.conclusion,
    created_at: iso(job.startedAt),
    started_at: iso(job.startedAt),
    completed_at: job.completedAt === null ? null : iso(job.completedAt),
    labels: ['ubuntu-latest'],
    steps: [],
    runner_id: 1,
    runner_name: 'runner-1',
    runner_group_id: 1,
    runner_group_name: 'Default',
  }
}

export function renderRun(origin: string, repository: RepositoryRecord, run: RunRecord, attempt: number) {
  const url = `${origin}/repos/${repository.owner}/${repository.name}/actions/runs/${run.id}`
  const conclusion = run.conclusions.get(attempt) ?? null
  const at = iso(repository.createdAt)
  const whole = renderRepository(repository, origin, false)
  return {
    id: run.id,
    name: run.name,
    node_id: nodeId('WorkflowRun', run.id),
    head_branch: run.headBranch,
    head_sha: run.headSha,
    path: '.github/workflows/ci.yml',
    display_title: run.name,
    run_number: 1,
    run_attempt: attempt,
    event: 'push',
    status: conclusion === null ? 'in_progress' : 'completed',
    conclusion,
    workflow_id: 1,
    url,
    html_url: `${origin}/${repository.owner}/${repository.name}/actions/runs/${run.id}`,
    pull_requests: [],
    created_at: at,
    updated_at: at,
    ...{ jobs_url: `${url}/jobs`, logs_url: `${url}/logs`, artifacts_url: `${url}/artifacts` },
    ...{ cancel_url: `${url}/cancel`, rerun_url: `${url}/rerun` },
    check_suite_url: `${origin}/repos/${repository.owner}/${repository.name}/check-suites/1`,
    workflow_url: `${origin}/repos/${repository.owner}/${repository.name}/actions/workflows/1`,
    head_commit: null,
    repository: whole,
    head_repository: whole,
  }
}
