/** The credentials of one task as consumers take them: kept, replaced when they near their end, given back. */
import { createHash } from 'node:crypto'
import type { Credential } from '../client/credential.ts'
import { isDenied, MayflyError } from '../client/mayfly-error.ts'
import type { Task, TaskAsk } from '../client/task.ts'
import type { World } from '../client/world.ts'
import type { SIDECAR_LIMITS } from './limits.ts'
import { Refusal } from './refusal.ts'

export type HeldSecrets = {
  /**
   * The credential held for the ask, or a new one where that nears its end; what is held is taken as long as it
   * lives where no new one can be had. What was replaced is given back after a while of grace.
   * @throws Refusal, MayflyError
   */
  take(ask: TaskAsk): Promise<Credential>
  /** What is held at this moment, whatever is left of it. */
  held(ask: TaskAsk): Credential | undefined
  /** Its provider refuses it. @returns whether it was still the one held. @throws Refusal */
  reject(ask: TaskAsk, sha256: string): Promise<boolean>
  close(): void
}

type Limits = Pick<
  typeof SIDECAR_LIMITS,
  'leftMs' | 'graceMs' | 'refreshAgainMs' | 'rejections' | 'rejectionsMs'
>

export function holdSecrets(world: World, task: Task, limits: Limits): HeldSecrets {
  const held = new Map<string, Credential>()
  const notBefore = new Map<string, number>()
  const rejectedAt = new Map<string, number[]>()
  const graces = new Set<() => void>()

  function alive(ask: string): Credential | undefined {
    const have = held.get(ask)
    return have !== undefined && have.expiresAt.getTime() > world.now() ? have : undefined
  }

  async function take(ask: TaskAsk): Promise<Credential> {
    demandActive(task)
    const before = alive(ask.id)
    if (before !== undefined && world.now() < (notBefore.get(ask.id) ?? 0)) return before
    try {
      const credential = await task.credential(ask, { atLeastMs: limits.leftMs })
      note(ask.id, credential)
      return credential
    } catch (error) {
      const have = alive(ask.id)
      // Where the answer is no, what is held is no longer to be used either.
      if (task.signal.aborted || have === undefined || isDenied(error)) throw error
      // It is still good; whoever asks next need not wait for the same failure at once.
      notBefore.set(ask.id, world.now() + limits.refreshAgainMs)
      return have
    }
  }

  function note(ask: string, credential: Credential): void {
    const before = held.get(ask)
    if (before?.lease === credential.lease) return
    held.set(ask, credential)
    if (before !== undefined) giveBackLater(before)
  }

  /** A push that is under way goes on. What ends by itself in that time needs nobody to end it. */
  function giveBackLater(credential: Credential): void {
    const { revocability, expiresAt } = credential
    if (revocability === 'expiry_only' || expiresAt.getTime() - world.now() <= limits.graceMs) return
    const cancel = world.schedule(
      limits.graceMs,
      () => {
        graces.delete(cancel)
        void giveBack(credential)
      },
      { background: true },
    )
    graces.add(cancel)
  }

  /** What cannot be given back now is revoked with its task. */
  async function giveBack(credential: Credential): Promise<void> {
    try {
      await task.giveBack(credential)
    } catch (error) {
      if (!(error instanceof MayflyError)) throw error
    }
  }

  return {
    take,
    held: ask => alive(ask.id),
    async reject(ask, sha256) {
      const have = held.get(ask.id)
      if (have === undefined || hashOf(have) !== sha256) return false
      const now = world.now()
      const recent = (rejectedAt.get(ask.id) ?? []).filter(at => now - at < limits.rejectionsMs)
      if (recent.length >= limits.rejections)
        throw new Refusal(
          'rejected_too_often',
          `the provider refused ${recent.length} credentials of this ask one after the other: look at what it says`,
        )
      rejectedAt.set(ask.id, [...recent, now])
      held.delete(ask.id)
      await giveBack(have)
      return true
    },
    close() {
      for (const cancel of graces) cancel()
      graces.clear()
      held.clear()
    },
  }
}

/** As consumers have it: of the token, or of the JSON text of its parts. */
export function hashOf(credential: Credential): string {
  const value = credential.reveal()
  return createHash('sha256')
    .update(typeof value === 'string' ? value : JSON.stringify(value))
    .digest('hex')
}

function demandActive(task: Task): void {
  if (task.state === 'active' && !task.signal.aborted) return
  throw new Refusal('task_not_active', `task ${task.id} has ended, and everything it held is being revoked`)
}
