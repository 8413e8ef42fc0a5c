import { CLIENT_LIMITS } from './limits.ts'
import { MayflyError } from './mayfly-error.ts'
import type { World } from './world.ts'

export type Life = {
  /** Told once, also where the task ended before anyone asked. */
  whenEnded(run: (why: string) => void): void
  stop(): void
}

/** The part of a task that says whether it goes on. */
export type Pulse = {
  id: string
  heartbeatSeconds: number | null
  /** Epoch ms; it may move. */
  deadline(): number
  /** @param deadlineMs of one attempt: a connection that hangs must not outlast the agreed silence */
  beat(options: { signal: AbortSignal; deadlineMs: number }): Promise<unknown>
}

/**
 * Says that the work goes on, at a third of the agreed interval and once when the deadline is past. Silence
 * from the broker ends nothing: only its word does.
 */
export function keepAlive(world: Pick<World, 'schedule' | 'now'>, task: Pulse): Life {
  const stopping = new AbortController()
  const everyMs = task.heartbeatSeconds === null ? undefined : Math.floor((task.heartbeatSeconds * 1_000) / 3)
  let ended: string | undefined
  let tell = (_why: string) => {}
  let cancel = plan()

  function plan(): () => void {
    const left = task.deadline() - world.now()
    // A day is the longest a timer of ours waits: longer ones overflow at 24.8 days.
    const wait = Math.min(everyMs ?? DAY_MS, left > 0 ? left + MARGIN_MS : (everyMs ?? MARGIN_MS), DAY_MS)
    return world.schedule(wait, () => void once(), { background: true })
  }

  async function once(): Promise<void> {
    try {
      await task.beat({
        signal: stopping.signal,
        deadlineMs: Math.min(everyMs ?? CLIENT_LIMITS.callMs, CLIENT_LIMITS.callMs),
      })
    } catch (error) {
      if (isOver(error)) {
        ended = `task ${task.id} has ended`
        tell(ended)
        return
      }
    }
    if (!stopping.signal.aborted) cancel = plan()
  }

  return {
    whenEnded(run) {
      tell = run
      if (ended !== undefined) run(ended)
    },
    stop() {
      cancel()
      stopping.abort()
    },
  }
}

/** The task is over (409), or this broker's ledger does not know it (401, 404). A statement that is refused ends nothing. */
export function isOver(error: unknown): boolean {
  if (!(error instanceof MayflyError) || error.code === 'evidence_rejected') return false
  return error.status !== undefined && ENDED.has(error.status)
}

const ENDED: ReadonlySet<number> = new Set([401, 404, 409])
const MARGIN_MS = 1_000
const DAY_MS = 86_400_000
