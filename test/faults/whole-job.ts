/**
 * The main job, whole: a release by a job's token (GitHub, AWS, a signed JWT that is introspected, kept alive
 * and extended), a coding agent by its JWT-SVID with a sub-agent by ticket, a token exchange that mints at
 * once, and a task that is cancelled while it mints. Everything that was opened is ended.
 */
import { asks, type Installation, RESOURCE_SERVER } from '../fakes/installation.ts'
import type { Call, Reply } from './retrying-client.ts'

export type JobReport = {
  /** Every JWT that the job was given, and is therefore able to show to a resource server. */
  jwts: string[]
  /** What the job could not do, in the order it met it. Empty: all of it was done. */
  troubles: string[]
}

type Task = { id: string; token: string; asks: string[] }
type End = () => Promise<void>

/** @param pause waits until the broker has done what is due: keeps the order of things the same in every run */
export async function runWholeJob(
  call: Call,
  installation: Installation,
  pause: () => Promise<void>,
): Promise<JobReport> {
  const report: JobReport = { jwts: [], troubles: [] }
  const ends: End[] = []
  const job = jobSteps(call, report, ends)
  for (const part of [release, delegation, exchange, endedWhileMinting]) {
    await attempt(report, () => part(job, installation))
    await pause()
  }
  for (const end of ends) {
    await attempt(report, end)
    await pause()
  }
  return report
}

type Steps = ReturnType<typeof jobSteps>

async function release(job: Steps, installation: Installation): Promise<void> {
  const task = await job.open({
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'release 1.2.3',
    minutes: 30,
    heartbeat_seconds: 3_600,
    authorization_details: [asks.api, asks.artifacts(installation.roleArn), asks.orders],
  })
  const [github, aws, jwt] = task.asks
  await job.credential(task, { ask: github })
  await job.credential(task, { ask: aws })
  const { credential } = await job.credential(task, { ask: jwt })
  await job.introspect(credential)
  await job.post(task, 'heartbeat', undefined, 200)
  await job.post(task, 'extend', { minutes: 40, reason: 'the tests are slow today' }, 200)
}

async function delegation(job: Steps, installation: Installation): Promise<void> {
  const evidence = (path: string) => ({ type: 'jwt', token: installation.svid(path) })
  const coder = await job.open({
    evidence: evidence('/agent/coder'),
    purpose: 'fix the build',
    minutes: 30,
    authorization_details: [],
  })
  await job.credential(coder, { authorization_details: [asks.api] })
  const allowed = [asks.apiRead, asks.orders]
  const ticket = async () => {
    const body = { agent: 'reviewer', minutes: 20, authorization_details: allowed }
    return (await job.post(coder, 'tickets', body, 201)).ticket as string
  }
  const request = async () => ({
    evidence: evidence('/agent/reviewer'),
    purpose: 'review the fix',
    minutes: 20,
    authorization_details: allowed,
    ticket: await ticket(),
  })
  const reviewer = await job.openChild(request)
  await job.credential(reviewer, { ask: reviewer.asks[0] })
  await job.credential(reviewer, { ask: reviewer.asks[1] })
}

async function exchange(job: Steps, installation: Installation): Promise<void> {
  await job.exchange({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    subject_token: await installation.jobToken(),
    authorization_details: JSON.stringify([asks.apiRead]),
    minutes: '30',
  })
}

/** The task is over when its mint has reached GitHub: what comes back belongs to nobody any more. */
async function endedWhileMinting(job: Steps, installation: Installation): Promise<void> {
  const { github } = installation
  const task = await job.open({
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'cancelled at the worst moment',
    minutes: 30,
    authorization_details: [asks.api],
  })
  const hook = github.faults
  let cancelled = false
  github.faults = async call => {
    if (!cancelled && call.operation === 'apps/create-installation-access-token') {
      cancelled = true
      await job.post(task, 'complete', { outcome: 'cancelled' }, 200)
    }
    return hook(call)
  }
  try {
    await job.post(task, 'credentials', { ask: task.asks[0] }, 409)
  } finally {
    github.faults = hook
  }
}

/** The single calls, each with the answer it must get. What was opened is put on the list of what to end. */
function jobSteps(call: Call, report: JobReport, ends: End[]) {
  const post = async (task: Task, step: string, json: unknown, status: number) => {
    const path = `/v1/tasks/${task.id}/${step}`
    const given = json === undefined ? {} : { json }
    return expectStatus(await call('POST', path, { token: task.token, ...given }), status, step)
  }
  const taskOf = (body: { task: { id: string; asks: { id: string }[] }; task_token: string }): Task => ({
    id: body.task.id,
    token: body.task_token,
    asks: body.task.asks.map(ask => ask.id),
  })
  return {
    post,
    async open(json: unknown): Promise<Task> {
      const task = taskOf(expectStatus(await call('POST', '/v1/tasks', { json }), 201, 'open'))
      ends.push(async () => void (await post(task, 'complete', { outcome: 'completed' }, 200)))
      return task
    },
    /** Ends with its parent. Where the answer was lost the ticket is used up, and the parent gives another. */
    async openChild(request: () => Promise<unknown>): Promise<Task> {
      const first = await call('POST', '/v1/tasks', { json: await request() })
      if (first.status === 201) return taskOf(first.body)
      expectStatus(first, 403, 'open a child')
      return taskOf(
        expectStatus(await call('POST', '/v1/tasks', { json: await request() }), 201, 'open a child'),
      )
    },
    async credential(task: Task, json: unknown) {
      const minted = await post(task, 'credentials', json, 201)
      if (minted.issuer === 'jwt') report.jwts.push(minted.credential)
      return minted
    },
    async introspect(token: string): Promise<void> {
      const { id, secret } = RESOURCE_SERVER
      const reply = await call('POST', '/oauth/introspect', { basic: [id, secret], form: { token } })
      if (expectStatus(reply, 200, 'introspect').active !== true)
        throw new Error('a JWT in use is not active')
    },
    async exchange(form: Record<string, string>): Promise<void> {
      const { task_token } = expectStatus(await call('POST', '/oauth/token', { form }), 200, 'exchange')
      ends.push(async () => {
        expectStatus(await call('POST', '/oauth/revoke', { form: { token: task_token } }), 200, 'revoke')
      })
    },
  }
}

function expectStatus({ status, body }: Reply, wanted: number, step: string): Reply['body'] {
  if (status === wanted) return body
  throw new Error(`${step}: ${status} ${JSON.stringify(body)}`)
}

async function attempt(report: JobReport, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    report.troubles.push((error as Error).message)
  }
}
