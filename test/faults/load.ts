/** Several workloads at once, as fast as they are answered, until there is nobody left to answer. */
import { asks, type Installation } from '../fakes/installation.ts'

export type TaskInHand = { id: string; token: string }

export type Load = {
  /** Tasks whose token a workload holds and that it has not been told have ended. Outlives a broker. */
  inHand: TaskInHand[]
  /** Leases and tasks that a workload was told of: what was answered must be in the ledger. */
  answered: Set<string>
  /** Answers that no broker should give to this load. */
  surprises: string[]
  /** Told of each answer. */
  onAnswer: () => void
}

/** There is nobody to answer any more, or the load is to end. */
export class LoadOver extends Error {}

export type Answer = {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member.
  body: any
  /** It was sent before, and what became of that is not known. */
  repeated: boolean
}

/** One request of a workload, with its answer. @throws LoadOver */
export type Post = (path: string, token: string | undefined, json: unknown) => Promise<Answer>

export type LoadOptions = {
  workloads: number
  random: () => number
  /** What the next task asks for. */
  wanted: () => readonly object[]
}

/** Resolves when the load is over for every workload. */
export async function runLoad(
  post: Post,
  installation: Installation,
  load: Load,
  options: LoadOptions,
): Promise<void> {
  const one = () => workload(post, installation, load, options).catch(ended)
  await Promise.all(Array.from({ length: options.workloads }, one))
}

/** Of each kind one; two of GitHub's. */
export const oneOfEach = ({ roleArn }: Installation) => [
  asks.api,
  asks.apiRead,
  asks.artifacts(roleArn),
  asks.orders,
]

function ended(error: unknown): void {
  if (!(error instanceof LoadOver)) throw error
}

async function workload(
  post: Post,
  installation: Installation,
  load: Load,
  { random, wanted }: LoadOptions,
): Promise<never> {
  for (;;) {
    const evidence = random() < 0.5 ? installation.svid('/agent/coder') : await installation.jobToken()
    const task = await openTask(post, load, evidence, wanted())
    if (task !== undefined) {
      // Side by side, so that a blow meets mints at every stage.
      const minted = await Promise.allSettled(task.asks.map(ask => mint(post, load, task, ask)))
      for (const one of minted) if (one.status === 'rejected') throw one.reason
    }
    // Some tasks are left open, and met again by a later workload.
    if (random() < 0.7) await completeOne(post, load, random)
  }
}

async function openTask(post: Post, load: Load, evidence: string, wanted: readonly object[]) {
  const { status, body, repeated } = await post('/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: evidence },
    purpose: 'keep the broker busy',
    minutes: 30,
    authorization_details: wanted,
  })
  // The first answer may have been to somebody: its evidence is then used up, or its task goes on.
  if (repeated && (status === 401 || status === 409)) return undefined
  if (status !== 201) return void load.surprises.push(`open: ${status} ${JSON.stringify(body)}`)
  const task = { id: body.task.id as string, token: body.task_token as string }
  load.inHand.push(task)
  load.answered.add(task.id)
  return { ...task, asks: body.task.asks.map((ask: { id: string }) => ask.id) as string[] }
}

async function mint(post: Post, load: Load, task: TaskInHand, ask: string): Promise<void> {
  const { status, body } = await post(`/v1/tasks/${task.id}/credentials`, task.token, { ask })
  // Another workload may have completed the task meanwhile.
  if (status === 201) load.answered.add(body.lease)
  else if (status !== 409) load.surprises.push(`credentials: ${status} ${JSON.stringify(body)}`)
}

async function completeOne(post: Post, load: Load, random: () => number): Promise<void> {
  const task = load.inHand[Math.floor(random() * load.inHand.length)]
  if (task === undefined) return
  const { status, body } = await post(`/v1/tasks/${task.id}/complete`, task.token, { outcome: 'completed' })
  if (status === 200) load.inHand = load.inHand.filter(other => other !== task)
  else load.surprises.push(`complete: ${status} ${JSON.stringify(body)}`)
}

/** To one broker. The load is over when it does not answer. */
export function postTo(url: string, load: Load): Post {
  return async (path, token, json) => {
    try {
      const { status, body } = await send(url + path, token, json)
      load.onAnswer()
      return { status, body, repeated: false }
    } catch (cause) {
      throw new LoadOver('no answer', { cause })
    }
  }
}

/** @throws where no whole answer comes, in time where one is set. */
export async function send(url: string, token: string | undefined, json: unknown, signal?: AbortSignal) {
  const headers = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const body = JSON.stringify(json)
  const response = await fetch(url, { method: 'POST', headers, body, signal: signal ?? null })
  return {
    status: response.status,
    retryAfterMs: Number(response.headers.get('retry-after') ?? 0) * 1_000,
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member.
    body: (await response.json()) as any,
  }
}
