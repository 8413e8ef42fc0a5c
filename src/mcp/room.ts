/** What the tools of one server share. */
import type { World } from '../client/world.ts'
import type { Keeper } from '../sidecar/keeper.ts'
import type { Setup } from './answer-shapes.ts'
import type { Refusals } from './refusals.ts'

export type Room = Pick<World, 'now' | 'schedule'> & {
  keeper: Keeper
  refusals: Refusals
  /** Where commands find what is held here, looked at anew. @param provider the host of a provider's web pages */
  setup(provider?: string): Promise<Setup>
  /** The variables of a command's environment that the credential of an ask comes in. */
  variablesOf(detail: { type: string }): readonly string[]
  /** What is said while a task is opened, for the human who may have to sign in first. @returns ends it */
  overhear(hear: (text: string) => void): () => void
  /** One line for whoever reads the log. */
  tell(text: string): void
  /** Told of what nobody expected. */
  report(error: unknown): void
}
