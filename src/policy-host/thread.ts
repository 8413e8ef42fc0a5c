/** One worker thread with one set of policies: what it takes to start it, to ask it, and to be rid of it. */
import { Worker } from 'node:worker_threads'
import type { Schedule } from '../broker/wake-loop.ts'
import { LIMITS } from '../limits.ts'
import type { PolicyFile, PolicyProblem } from '../policy/cedar/compile.ts'
import type { Reads } from '../policy/cedar/reads.ts'
import type { Vocabulary } from '../policy/cedar/vocabulary.ts'
import type { PolicyNeeds, PolicyText, PolicyVerdict } from '../policy/facts.ts'

/** What a thread is given to start with, and what it answers once. */
export type ThreadJob = { files: readonly PolicyFile[]; vocabulary: Vocabulary }
export type Loaded = {
  hash: string
  needs: PolicyNeeds
  reads: Reads
  policies: readonly PolicyText[]
}
export type ThreadReady =
  | { type: 'ready'; loaded: Loaded }
  | { type: 'refused'; problems: readonly PolicyProblem[] }
  | { type: 'broken'; fault: string }

/** One judgement there and back. The request travels as JSON text. */
export type ThreadQuestion = { id: number; request: string }
export type ThreadAnswer = { id: number; verdict: PolicyVerdict }

export type Thread = {
  loaded: Loaded
  /** @throws ThreadDied */
  ask(request: string): Promise<PolicyVerdict>
  /** Resolves when it is gone, for whatever reason. */
  died: Promise<void>
  kill(): Promise<void>
}

export class ThreadDied extends Error {
  override name = 'ThreadDied'
}

/** What runs in it: the source in development, what was built from it in the package. */
const WORKER = new URL(`./worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

/** @throws ThreadDied where it does not come up in time, or does not judge as it should */
export async function startThread(
  job: ThreadJob,
  { schedule, worker: code = WORKER }: { schedule: Schedule; worker?: URL },
): Promise<{ ok: true; thread: Thread } | { ok: false; problems: readonly PolicyProblem[] }> {
  const worker = new Worker(code, {
    workerData: job,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: LIMITS.policyThreadMegabytes },
  })
  const waiting = new Map<number, { resolve(verdict: PolicyVerdict): void; reject(error: Error): void }>()
  let failure = 'it ended'
  let gone = false
  const died = new Promise<void>(resolve => {
    worker.on('error', error => {
      failure = error instanceof Error ? `${error.name}: ${error.message}` : 'it failed'
    })
    worker.on('exit', () => {
      gone = true
      resolve()
      for (const one of waiting.values()) one.reject(new ThreadDied(failure))
      waiting.clear()
    })
  })
  const kill = async () => {
    await worker.terminate()
  }
  const ready = await new Promise<ThreadReady>((resolve, reject) => {
    const cancel = schedule(LIMITS.policyLoadMs, () => reject(new ThreadDied('it did not load in time')))
    worker.once('message', (message: ThreadReady) => {
      cancel()
      resolve(message)
    })
    void died.then(() => {
      cancel()
      reject(new ThreadDied(failure))
    })
  }).catch(async (error: unknown) => {
    await kill()
    throw error
  })
  if (ready.type !== 'ready') {
    await kill()
    if (ready.type === 'broken') throw new ThreadDied(ready.fault)
    return { ok: false, problems: ready.problems }
  }
  worker.on('message', ({ id, verdict }: ThreadAnswer) => {
    waiting.get(id)?.resolve(verdict)
    waiting.delete(id)
  })
  let last = 0
  const ask = (request: string) =>
    new Promise<PolicyVerdict>((resolve, reject) => {
      if (gone) return reject(new ThreadDied(failure))
      if (waiting.size >= LIMITS.policyWaiting) return reject(new ThreadDied('too many are waiting'))
      const id = ++last
      waiting.set(id, { resolve, reject })
      worker.postMessage({ id, request } satisfies ThreadQuestion)
    })
  return { ok: true, thread: { loaded: ready.loaded, ask, died, kill } }
}
