import type { TaskAnswer } from './answers.ts'
import type { Client } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { BrokerRefusal } from './refusal.ts'
import type { HeldTask } from './task-file.ts'
import { beat } from './task-session.ts'
import type { Terminal } from './terminal.ts'

export type Life = {
  /** Told once, also where the task ended before anyone asked. */
  whenEnded(run: (why: string) => void): void
  stop(): void
}

/**
 * Says that the work goes on, at a third of the agreed interval and once when the deadline is past. Silence
 * from the broker ends nothing: only its word does.
 */
export function keepAlive(
  terminal: Pick<Terminal, 'schedule' | 'now'>,
  client: Client,
  held: HeldTask,
  task: TaskAnswer,
): Life {
  const stopping = new AbortController()
  const deadline = Date.parse(task.deadline)
  const everyMs =
    task.heartbeat_seconds === null ? undefined : Math.floor((task.heartbeat_seconds * 1_000) / 3)
  let ended: string | undefined
  let tell = (_why: string) => {}
  let cancel = plan()

  function plan(): () => void {
    const left = deadline - terminal.now()
    // A day is the longest a timer of ours waits: longer ones overflow at 24.8 days.
    const wait = Math.min(everyMs ?? DAY_MS, left > 0 ? left + MARGIN_MS : (everyMs ?? MARGIN_MS), DAY_MS)
    return terminal.schedule(wait, () => void once())
  }

  async function once(): Promise<void> {
    try {
      await beat(client, held, {
        signal: stopping.signal,
        deadlineMs: Math.min(everyMs ?? CLI_LIMITS.callMs, CLI_LIMITS.callMs),
      })
    } catch (error) {
      if (error instanceof BrokerRefusal && ENDED.has(error.status)) {
        ended = `task ${held.id} has ended`
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

/** The task is over (409), or this broker's ledger does not know it (401, 404). */
const ENDED: ReadonlySet<number> = new Set([401, 404, 409])
const MARGIN_MS = 1_000
const DAY_MS = 86_400_000
