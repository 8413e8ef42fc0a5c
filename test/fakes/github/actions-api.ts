/** The Actions jobs API: what a broker asks to learn whether a job is over. */
import { authorize } from './access.ts'
import { notFound } from './answer.ts'
import { type Call, type Handler, paged } from './handler.ts'
import { iso, nodeId } from './render.ts'
import type { JobRecord, RepositoryRecord, RunRecord } from './state.ts'

export const listJobsForAttempt: Handler = call => {
  const repository = authorize(call, { permission: 'actions', level: 'read' })
  const run = runOf(call, repository, Number(call.params.run_id))
  const attempt = Number(call.params.attempt_number)
  const jobs = [...call.state.jobs.values()].filter(job => job.runId === run.id && job.runAttempt === attempt)
  if (jobs.length === 0) throw notFound()
  const { items, headers } = paged(call, jobs)
  const body = { total_count: jobs.length, jobs: items.map(job => renderJob(call, repository, run, job)) }
  return { status: 200, headers, body }
}

export const getJob: Handler = call => {
  const repository = authorize(call, { permission: 'actions', level: 'read' })
  const job = call.state.jobs.get(Number(call.params.job_id))
  if (job === undefined) throw notFound()
  return { status: 200, body: renderJob(call, repository, runOf(call, repository, job.runId), job) }
}

/** A run of another repository is not there. */
function runOf(call: Call, repository: RepositoryRecord, runId: number): RunRecord {
  const run = call.state.runs.get(runId)
  if (run === undefined || run.repositoryId !== repository.id) throw notFound()
  return run
}

function renderJob(call: Call, repository: RepositoryRecord, run: RunRecord, job: JobRecord) {
  const api = `${call.origin}/repos/${repository.owner}/${repository.name}`
  const html = `${call.origin}/${repository.owner}/${repository.name}/actions/runs/${run.id}/job/${job.id}`
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
