/**
 * Webhooks as GitHub sends them: `workflow_job`, `workflow_run` and `secret_scanning_alert`, signed over the raw body, sent once. A
 * delivery is a value, so that a test may hold it back, alter it, or send it twice.
 */
import { createHmac } from 'node:crypto'
import { renderJob, renderRun } from './actions-api.ts'
import { renderRepository } from './render.ts'
import { renderAlert } from './secret-scanning-api.ts'
import type { GithubState } from './state.ts'

export type Delivery = { headers: Record<string, string>; body: string }

/** What a delivery tells of: the job or run as it is now. */
export type Subject = (
  | { job: number }
  | { run: number; attempt?: number }
  | { alert: number; repository: number }
) & { action?: string }

/** @param origin of GitHub's web pages, which the payload names */
export function delivery(state: GithubState, of: Subject, secret: string, origin: string): Delivery {
  const { event, payload } = eventOf(state, of, origin)
  const body = JSON.stringify({ action: of.action ?? payload.action, ...payload.rest })
  return signed(event, body, secret, state.random)
}

/** Any event with any body, in GitHub's envelope. */
export function signed(
  event: string,
  body: string,
  secret: string,
  random: (bytes: number) => Uint8Array,
): Delivery {
  const guid = Buffer.from(random(16)).toString('hex')
  return {
    headers: {
      accept: '*/*',
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/abc1234',
      'x-github-delivery': guid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
      'x-github-event': event,
      'x-github-hook-id': '1',
      'x-github-hook-installation-target-type': 'integration',
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
    body,
  }
}

function eventOf(state: GithubState, of: Subject, origin: string) {
  if ('alert' in of) return alertEvent(state, of, origin)
  return 'job' in of ? jobEvent(state, of.job, origin) : runEvent(state, of, origin)
}

function alertEvent(state: GithubState, of: { alert: number; repository: number }, origin: string) {
  const repository = state.repositories.get(of.repository)!
  const alert = renderAlert(origin, repository, repository.secretAlerts.get(of.alert)!)
  const rest = { alert, repository: renderRepository(repository, origin, false) }
  return { event: 'secret_scanning_alert', payload: { action: 'created', rest } }
}

function jobEvent(state: GithubState, id: number, origin: string) {
  const job = state.jobs.get(id)!
  const run = state.runs.get(job.runId)!
  const repository = state.repositories.get(run.repositoryId)!
  const action = job.status === 'completed' ? 'completed' : job.status
  const rest = {
    workflow_job: renderJob(origin, repository, run, job),
    repository: renderRepository(repository, origin, false),
  }
  return { event: 'workflow_job', payload: { action, rest } }
}

function runEvent(state: GithubState, of: { run: number; attempt?: number }, origin: string) {
  const run = state.runs.get(of.run)!
  const repository = state.repositories.get(run.repositoryId)!
  const workflow_run = renderRun(origin, repository, run, of.attempt ?? 1)
  const rest = { workflow_run, repository: renderRepository(repository, origin, false) }
  return { event: 'workflow_run', payload: { action: workflow_run.status, rest } }
}
