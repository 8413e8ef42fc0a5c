/**
 * GitHub's webhooks, as far as they tell of an end. Source: GitHub Docs, "Validating webhook deliveries" and
 * "Webhook events and payloads" (workflow_job, workflow_run).
 */
import { verifyWithFallback } from '@octokit/webhooks-methods'
import { z } from 'zod'
import { githubProgress, githubState } from './github-work.ts'
import type { Secret } from './secret.ts'
import type { WorkEnd } from './work.ts'

/** The headers of one delivery, and its body as it came. */
export type GithubDelivery = { event: string; signature: string; body: string }

const id = z.int().positive()
const common = { action: z.string(), repository: z.object({ id, html_url: z.url() }) }
const progress = githubProgress.extend({ id, run_attempt: id })
const jobEvent = z.object({ ...common, workflow_job: progress.extend({ run_id: id }) })
const runEvent = z.object({ ...common, workflow_run: progress })

/** Whether one of `secrets` signed the body: HMAC-SHA-256, compared in constant time. */
export async function isFromGithub(
  { signature, body }: GithubDelivery,
  secrets: readonly Secret[],
): Promise<boolean> {
  const [first, ...others] = secrets.map(secret => secret.reveal())
  // The library throws where one of them is empty.
  if (first === undefined || signature === '' || body === '') return false
  return verifyWithFallback(first, body, signature, others)
}

/**
 * The end that a verified delivery tells of; undefined for every other event and action.
 * @throws z.ZodError where GitHub's payload is not of the known form
 */
export function readGithubEnd(event: string, payload: unknown): WorkEnd | undefined {
  if (event === 'workflow_job') {
    const { action, repository, workflow_job: job } = jobEvent.parse(payload)
    return endOf(action, repository, job, { run: job.run_id, job: job.id })
  }
  if (event !== 'workflow_run') return undefined
  const { action, repository, workflow_run: run } = runEvent.parse(payload)
  return endOf(action, repository, run, { run: run.id })
}

function endOf(
  action: string,
  repository: { id: number; html_url: string },
  at: z.infer<typeof progress>,
  ids: { run: number; job?: number },
): WorkEnd | undefined {
  const now = githubState(at)
  if (action !== 'completed' || now.state !== 'ended') return undefined
  return {
    provider: new URL(repository.html_url).hostname,
    repository: String(repository.id),
    run: String(ids.run),
    attempt: String(at.run_attempt),
    ...(ids.job === undefined ? {} : { job: String(ids.job) }),
    outcome: now.outcome,
    said: String(at.conclusion ?? 'completed').slice(0, 40),
  }
}
