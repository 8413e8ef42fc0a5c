/** A task that this process keeps alive itself, opened with what the command line says. */

import { createMayfly, type Mayfly } from '../client/mayfly.ts'
import type { Task } from '../client/task.ts'
import type { OpenOptions } from '../client/task-calls.ts'
import type { AskDetail } from './ask.ts'
import { type EvidenceOption, presentEvidence, readHuman } from './evidence.ts'
import { type PostureOption, readPosture } from './posture.ts'
import { makeOwnKey, type Opener, openSignedIn, type SignInOption } from './sign-in-work.ts'
import type { TaskOptions } from './task-session.ts'
import { type Terminal, usageError } from './terminal.ts'

/** @param options.boundKey its tasks are bound to one key, made for it */
export function connectMayfly(
  terminal: Terminal,
  url: string,
  options: EvidenceOption & PostureOption & { boundKey?: boolean },
): Mayfly {
  const posture = options.postureFile && { posture: () => readPosture(terminal, options) }
  return createMayfly({
    url,
    evidence: () => presentEvidence(terminal, url, options),
    boundKey: options.boundKey === true,
    ...posture,
    fetch: terminal.fetch,
    now: terminal.now,
    schedule: terminal.schedule,
  })
}

/** The same, or with `--sign-in` for a human who signs in for each task. @param ended gives a sign-in up */
export async function connectOpener(
  terminal: Terminal,
  url: string,
  options: EvidenceOption & PostureOption & SignInOption & { boundKey?: boolean },
  ended: AbortSignal,
): Promise<Opener> {
  if (options.signIn !== true) return connectMayfly(terminal, url, options)
  if (options.postureFile !== undefined)
    throw usageError(
      'statements of --posture-file go with the evidence of a workload, and not with --sign-in',
    )
  return openSignedIn(terminal, url, { ...options, key: await makeOwnKey(terminal, url), ended })
}

/** @throws MayflyError; CommandError where there is no evidence */
export async function openLiveTask(
  terminal: Terminal,
  mayfly: Opener,
  asks: readonly AskDetail[],
  options: TaskOptions & { purpose: string },
): Promise<Task> {
  const { agent, purpose, minutes, heartbeatSeconds, lifetime, justification, mints, confidence, urgency } =
    options
  const human = await readHuman(terminal, options)
  const wanted = { agent, minutes, heartbeatSeconds, lifetime, justification, mints, confidence, urgency }
  const said = Object.entries({ ...wanted, onBehalfOf: human }).filter(([, value]) => value !== undefined)
  return mayfly.openTask({ ...(Object.fromEntries(said) as Partial<OpenOptions>), purpose, asks })
}
