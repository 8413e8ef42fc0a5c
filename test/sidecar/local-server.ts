/** A local server in this process, beside a broker, and the clients of both. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Ask } from '../../src/client/asks.ts'
import { createMayfly } from '../../src/client/mayfly.ts'
import type { Task } from '../../src/client/task.ts'
import { connectSidecar, type Sidecar } from '../../src/sidecar/call.ts'
import { type RunningSidecar, startSidecar } from '../../src/sidecar/sidecar.ts'
import type { Installation } from '../fakes/installation.ts'

export type LocalServer = {
  sidecar: RunningSidecar
  /** Over its socket. */
  client: Sidecar
  folder: string
  /** Opens a task by its own evidence, and holds it. */
  hold(asks: readonly Ask[], options?: { minutes?: number; mints?: number }): Promise<Task>
  /** Timers that wait for their moment, to be run by hand. */
  waiting: Set<{ ms: number; run: () => void }>
  /** Runs those that wait for this long. */
  pass(ms: number): void
  /** What waits for so long is woken at once. */
  hurried: number | undefined
  reports: unknown[]
  close(): Promise<void>
}

/** @param url of the broker */
export async function startLocalServer(installation: Installation, url: string): Promise<LocalServer> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-sidecar-'))
  const waiting: LocalServer['waiting'] = new Set()
  const world = {
    fetch,
    now: installation.clock.now,
    random: (bytes: number) => randomBytes(bytes),
    schedule(ms: number, run: () => void, options?: { background?: boolean }) {
      if (options?.background !== true) {
        if (ms === local.hurried) {
          setImmediate(run)
          return () => {}
        }
        const timer = setTimeout(run, ms)
        return () => clearTimeout(timer)
      }
      const one = { ms, run }
      waiting.add(one)
      return () => waiting.delete(one)
    },
  }
  const mayfly = createMayfly({ ...world, url, evidence: () => installation.jobToken() })
  const reports: unknown[] = []
  const sidecar = await startSidecar(world, {
    socket: { path: join(folder, 'mayfly.sock'), claim: true },
    loopback: true,
    report: error => reports.push(error),
    async open({ purpose, asks, minutes }) {
      const wanted = { purpose, asks: asks.map(one => ({ ...one })) }
      return {
        purpose,
        task: await mayfly.openTask({ ...wanted, ...(minutes !== undefined && { minutes }) }),
      }
    },
  })
  const tasks: Task[] = []
  const local: LocalServer = {
    ...{ sidecar, folder, waiting, reports, client: connectSidecar({ socket: sidecar.socket! }) },
    hurried: undefined,
    async hold(asks, options = {}) {
      const task: Task = await mayfly.openTask({ purpose: 'a test', asks, ...options })
      sidecar.keeper.add({ task, purpose: 'a test' })
      tasks.push(task)
      return task
    },
    pass(ms) {
      for (const one of [...waiting]) {
        if (one.ms !== ms) continue
        waiting.delete(one)
        one.run()
      }
    },
    async close() {
      await sidecar.close()
      for (const { task } of sidecar.keeper.active()) await task.complete()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return local
}
