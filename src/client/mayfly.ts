/**
 * Short-lived credentials for one bounded piece of work, from a Mayfly broker. Runs wherever `fetch` and
 * `AbortSignal` are: Node 24, Deno, Bun. docs/client.md is the guide.
 */
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Ask } from './asks.ts'
import { type BoundKeyPair, signingFetch } from './bound-key.ts'
import { brokerOrigin } from './broker-origin.ts'
import type { EvidenceSource } from './evidence.ts'
import { liveTask } from './live-task.ts'
import { openTask, resumeTask } from './open-task.ts'
import type { PostureSource } from './posture.ts'
import { surroundings } from './surroundings.ts'
import type { Signal, Task } from './task.ts'
import type { OpenOptions } from './task-calls.ts'
import type { World } from './world.ts'

export type MayflyOptions = Partial<World> & {
  /** Scheme, host and port; plain http for this machine only. */
  url: string
  /** What the workload proves itself with, each time a task is opened. */
  evidence: EvidenceSource
  /**
   * Statements about where the workload runs, for brokers that want to know: docs/posture.md. Heartbeats bring fresh
   * ones along where the agent says so.
   */
  posture?: PostureSource
  /**
   * Tasks are bound to a key of this process, or to the one given: their tokens are of no use to anybody else. The
   * broker must be reached at its own `public_url`. Off unless said; agents may be made to need it.
   */
  boundKey?: boolean | BoundKeyPair
}

export type TaskOptions<Asks extends readonly Ask[] = readonly Ask[]> = OpenOptions & Signal & { asks: Asks }

export type Mayfly = {
  /** The broker's origin. */
  readonly url: string
  /**
   * `await using task = await mayfly.openTask({...})` ends the task, as completed, at the end of the scope. That
   * a scope was left by a throw cannot be seen there: use `withTask`, or call `task.fail()`.
   *
   * @param options.signal gives up the opening; a task that is opened all the same is ended.
   */
  openTask<const Asks extends readonly Ask[]>(options: TaskOptions<Asks>): Promise<Task<Asks>>
  /**
   * A task that another process of the workload opened (a step after the job's own, say), by `task.id` and
   * `task.token`. Its asks are as the broker has them; only one process should keep it alive.
   */
  resumeTask(held: Signal & { id: string; token: Secret | string }): Promise<Task>
  /**
   * A task for as long as `work` runs: completed when it returns, failed when it throws, cancelled where it
   * throws after `options.signal` was aborted. What it threw is thrown on, also where the end could not be told.
   */
  withTask<const Asks extends readonly Ask[], T>(
    options: TaskOptions<Asks>,
    work: (task: Task<Asks>) => T | Promise<T>,
  ): Promise<T>
}

/** @throws MayflyError `url_invalid` */
export function createMayfly(options: MayflyOptions): Mayfly {
  const { url: address, evidence, posture, boundKey = false, ...given } = options
  const url = brokerOrigin(address)
  const world = { ...surroundings, ...given }
  const signed =
    boundKey === false ? {} : { fetch: signingFetch(world, url, boundKey === true ? undefined : boundKey) }
  const stated = posture === undefined ? {} : { posture }
  const broker = { world: { ...world, ...signed }, url, evidence, ...stated }

  async function open<const Asks extends readonly Ask[]>(options: TaskOptions<Asks>): Promise<Task<Asks>> {
    return liveTask(broker, options.asks, await openTask(broker, options.asks, options))
  }

  return {
    url,
    openTask: open,
    async resumeTask(held) {
      const found = await resumeTask(broker, held)
      const asks: readonly Ask[] = found.task.asks.map(one => one.authorizationDetails)
      return liveTask(broker, asks, found)
    },
    async withTask(options, work) {
      const task = await open(options)
      const worked = await Promise.resolve(task)
        .then(work)
        .catch(async (error: unknown) => {
          await endAfter(task, options.signal?.aborted === true)
          throw error
        })
      await task[Symbol.asyncDispose]()
      return worked
    },
  }
}

/** The error that led here matters more than one that comes now; a task that nobody ends lapses. */
async function endAfter(task: Task, isCancelled: boolean): Promise<void> {
  if (task.state !== 'active') return
  try {
    await (isCancelled ? task.cancel() : task.fail())
  } catch {
    // It reaches its deadline, or lapses before.
  }
}
