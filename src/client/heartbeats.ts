import { MayflyError } from './mayfly-error.ts'
import type { PostureSource } from './posture.ts'
import type { Signal } from './task.ts'
import { heartbeatCall, type TaskKey } from './task-calls.ts'
import type { Call } from './transport.ts'

/** Heartbeats of one task: with statements from the first one on of which the broker wants them. */
export function heartbeats(
  key: TaskKey,
  call: (what: Call, options?: Signal) => Promise<unknown>,
  posture: PostureSource | undefined,
): (options?: Signal, deadlineMs?: number) => Promise<unknown> {
  let isWanted = false
  return async (options, deadlineMs) => {
    const within = deadlineMs === undefined ? {} : { deadlineMs }
    if (!isWanted) {
      try {
        return await call({ ...heartbeatCall(key), ...within }, options)
      } catch (error) {
        const isAsked = error instanceof MayflyError && error.code === 'posture_needed'
        if (posture === undefined || !isAsked) throw error
        isWanted = true
      }
    }
    return call({ ...heartbeatCall(key, await posture?.()), ...within }, options)
  }
}
