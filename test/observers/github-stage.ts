/** A broker whose tasks belong to GitHub jobs, and a GitHub that can say, or be asked, how they end. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../src/broker/broker.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Delivery } from '../fakes/github/webhooks.ts'
import {
  type ConfigChanges,
  createInstallation,
  type Installation,
  silent,
  startBroker,
} from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'

export const SECRET = 'the webhook secret of the App'

export type Job = { run: number; job: number; attempt?: number }
export type Stage = {
  installation: Installation
  broker: RunningServer
  api: Api
  /** A run with one job in progress, known to GitHub; ids of their own each time. */
  newJob(): Job
  /** Another job of the same run; `attempt` for one of a re-run. */
  sibling(of: Job, attempt?: number): Job
  evidence(job: Job, claims?: Record<string, unknown>): Promise<{ type: 'jwt'; token: string }>
  open(job: Job, asks?: unknown[], extra?: Record<string, unknown>): Promise<OpenedTask>
  /** The same without a demand that it succeeds. */
  tryOpen(job: Job, extra?: Record<string, unknown>): Promise<Answer>
  /** What GitHub would send of the job as it is now. */
  told(job: Job, action?: string): Delivery
  send(delivery: Delivery, headers?: Record<string, string>): Promise<Response>
  /** How each task stands: `active`, or how it ended. */
  state(task: OpenedTask): Promise<string>
  close(): Promise<void>
}

export async function createStage(changes: ConfigChanges = {}, log: Log = silent): Promise<Stage> {
  const observers = { github_webhooks: { secret_file: 'hook-secret' } }
  const installation = await createInstallation({
    ...changes,
    settings: { observers, ...changes.settings },
  })
  await writeFile(join(installation.directory, 'hook-secret'), `${SECRET}\n`, { mode: 0o600 })
  const permissions = { contents: 'write', issues: 'write', pull_requests: 'write', actions: 'read' }
  installation.github.changeInstallation(77, { permissions })
  const broker = await startBroker(installation, log)
  const api = createApi(broker, installation)
  const { github } = installation
  let ids = 7_000_000_000

  const stage: Stage = {
    installation,
    broker,
    api,
    newJob() {
      ids += 1
      github.addWorkflowRun({ id: ids, repositoryId: 1 })
      return stage.sibling({ run: ids, job: 0 })
    },
    sibling({ run }, attempt = 1) {
      ids += 1
      github.addJob({ id: ids, runId: run, runAttempt: attempt })
      return { run, job: ids, attempt }
    },
    evidence: async ({ run, job, attempt = 1 }, claims = {}) => ({
      type: 'jwt',
      token: await installation.jobToken({
        run_id: String(run),
        run_attempt: String(attempt),
        check_run_id: String(job),
        ...claims,
      }),
    }),
    open: async (job, asks = [], extra = {}) =>
      api.open(asks, { evidence: await stage.evidence(job), ...extra }),
    tryOpen: async (job, extra = {}) =>
      api.call('POST', '/v1/tasks', undefined, {
        evidence: await stage.evidence(job),
        purpose: 'a test',
        ...extra,
      }),
    told: ({ job }, action) =>
      github.delivery({ job, ...(action === undefined ? {} : { action }) }, SECRET, github.url),
    send: ({ headers, body }, changed = {}) =>
      fetch(`${broker.url}/webhooks/github`, { method: 'POST', headers: { ...headers, ...changed }, body }),
    async state(task) {
      const row = await broker.broker.ledger.read.task(task.id)
      return row?.state === 'active' ? 'active' : String(row?.end)
    },
    async close() {
      await broker.stop()
      await installation.close()
    },
  }
  return stage
}
