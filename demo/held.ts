import { type Credential, granted, type MayflyClient, type Task } from './mayfly-client.ts'
import type { Answer, Timeline } from './timeline.ts'

/** A credential in somebody's hands, and a call that works for as long as it lives. */
export type Held = {
  holder: string
  /** The id of its row in Mayfly's ledger. */
  lease: string
  revocability: string
  /** Epoch ms. */
  expiresAt: number
  /** The call, in words. */
  what: string
  use(): Promise<Answer>
}

/** What a chapter leaves behind for the ones that follow. */
export type Work = { task: Task; held: readonly Held[] }

/** The credential for one ask of the task. @throws CommandError where it is refused. */
export async function mint<Secret = string>(
  mayfly: MayflyClient,
  task: Task,
  index: number,
): Promise<Credential<Secret>> {
  return granted(await mayfly.credential<Secret>(task, task.asks[index] ?? ''))
}

export function hold(
  holder: string,
  { lease, revocability, expires_at }: Credential<unknown>,
  what: string,
  use: () => Promise<Answer>,
): Held {
  return { holder, lease, revocability, expiresAt: Date.parse(expires_at), what, use }
}

export async function showThatItWorks(timeline: Timeline, { holder, what, use }: Held): Promise<void> {
  timeline.tried(holder, what, await use(), 200)
}
