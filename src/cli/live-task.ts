/** A task that this process keeps alive itself, opened with what the command line says. */

import { createMayfly } from '../client/mayfly.ts'
import type { Task } from '../client/task.ts'
import type { OpenOptions } from '../client/task-calls.ts'
import type { AskDetail } from './ask.ts'
import { type EvidenceOption, findEvidence, readHuman } from './evidence.ts'
import { note } from './print.ts'
import type { TaskOptions } from './task-session.ts'
import type { Terminal } from './terminal.ts'

/** @throws MayflyError; CommandError where there is no evidence */
export async function openLiveTask(
  terminal: Terminal,
  url: string,
  asks: readonly AskDetail[],
  options: EvidenceOption & TaskOptions & { purpose: string },
): Promise<Task> {
  const { agent, purpose, minutes, heartbeatSeconds, lifetime, justification, mints, confidence, urgency } =
    options
  const mayfly = createMayfly({
    url,
    evidence: async () => (await findEvidence(terminal, url, options)).reveal(),
    fetch: terminal.fetch,
    now: terminal.now,
    schedule: terminal.schedule,
  })
  const human = await readHuman(terminal, options)
  const wanted = { agent, minutes, heartbeatSeconds, lifetime, justification, mints, confidence, urgency }
  const said = Object.entries({ ...wanted, onBehalfOf: human }).filter(([, value]) => value !== undefined)
  return mayfly.openTask({ ...(Object.fromEntries(said) as Partial<OpenOptions>), purpose, asks })
}

/** Ends a task that led to nothing; the error that led here matters more than one that comes now. */
export async function giveUp(terminal: Terminal, task: Task, why: string): Promise<void> {
  try {
    await task.fail({ detail: why })
  } catch {
    note(terminal, `task ${task.id} could not be ended now; it ends by itself at its deadline`)
  }
}
