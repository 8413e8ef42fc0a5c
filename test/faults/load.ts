/** Several workloads at once, as fast as they are answered, until the broker is gone. */
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

class BrokerGone extends Error {}

/** Resolves when every workload has met the end of the broker. */
export async function runLoad(
  url: string,
  installation: Installation,
  load: Load,
  { workloads, random }: { workloads: number; random: () => number },
): Promise<void> {
  await Promise.all(
    Array.from({ length: workloads }, () => workload(url, installation, load, random).catch(ended)),
  )
}

function ended(error: unknown): void {
  if (!(error instanceof BrokerGone)) throw error
}

async function workload(
  url: string,
  installation: Installation,
  load: Load,
  random: () => number,
): Promise<never> {
  for (;;) {
    const task = await openTask(url, installation, load, random)
    if (task !== undefined) {
      // Side by side, so that a kill meets mints at every stage.
      const minted = await Promise.allSettled(task.asks.map(ask => mint(url, load, task, ask)))
      for (const one of minted) if (one.status === 'rejected') throw one.reason
    }
    // Some tasks are left open, and met again by a workload of a later round.
    if (random() < 0.7) await completeOne(url, load, random)
  }
}

async function openTask(url: string, installation: Installation, load: Load, random: () => number) {
  const evidence = random() < 0.5 ? installation.svid('/agent/coder') : await installation.jobToken()
  const { status, body } = await post(load, `${url}/v1/tasks`, undefined, {
    evidence: { type: 'jwt', token: evidence },
    purpose: 'keep the broker busy',
    minutes: 30,
    authorization_details: [asks.api, asks.apiRead, asks.artifacts(installation.roleArn), asks.orders],
  })
  if (status !== 201) return void load.surprises.push(`open: ${status} ${JSON.stringify(body)}`)
  const task = { id: body.task.id as string, token: body.task_token as string }
  load.inHand.push(task)
  load.answered.add(task.id)
  return { ...task, asks: body.task.asks.map((ask: { id: string }) => ask.id) as string[] }
}

async function mint(url: string, load: Load, task: TaskInHand, ask: string): Promise<void> {
  const { status, body } = await post(load, `${url}/v1/tasks/${task.id}/credentials`, task.token, { ask })
  // Another workload may have completed the task meanwhile.
  if (status === 201) load.answered.add(body.lease)
  else if (status !== 409) load.surprises.push(`credentials: ${status} ${JSON.stringify(body)}`)
}

async function completeOne(url: string, load: Load, random: () => number): Promise<void> {
  const task = load.inHand[Math.floor(random() * load.inHand.length)]
  if (task === undefined) return
  const { status, body } = await post(load, `${url}/v1/tasks/${task.id}/complete`, task.token, {
    outcome: 'completed',
  })
  if (status === 200) load.inHand = load.inHand.filter(other => other !== task)
  else load.surprises.push(`complete: ${status} ${JSON.stringify(body)}`)
}

async function post(load: Load, url: string, token: string | undefined, json: unknown) {
  const headers = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  try {
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(json) })
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member.
    const body = (await response.json()) as any
    load.onAnswer()
    return { status: response.status, body }
  } catch (cause) {
    throw new BrokerGone('no answer', { cause })
  }
}
