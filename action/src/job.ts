/** The job around the action, as the action sees it: nothing else in this folder but `edge.ts` touches the real one. */
import type { MayflyOptions } from '../../src/client/index.ts'

export type Job = {
  env: Readonly<Record<string, string | undefined>>
  /** Trimmed; empty where it is not given. */
  input(name: string): string
  output(name: string, value: string): void
  /** For the steps that follow. */
  exportVariable(name: string, value: string): void
  /** From main to post, where nobody else reads it. */
  saveState(name: string, value: string): void
  /** Empty where there is none. */
  state(name: string): string
  /** From here on the runner shows `***` for it, in every form that tools print. */
  mask(secret: string): void
  /** Lines of the log; whatever is in the text, it is no command to the runner, and no secret. */
  info(text: string): void
  notice(text: string): void
  warning(text: string): void
  /** The step has failed. */
  fail(text: string): void
  /** Of the client; each may be replaced in a test. */
  world: Required<Pick<MayflyOptions, 'fetch' | 'now' | 'schedule'>>
  /** Runs on the signal until taken back. */
  onSignal(signal: NodeJS.Signals, run: () => void): () => void
  /** The script, by `bash`, with exactly this environment, on the step's own output. */
  run(script: string, env: Readonly<Record<string, string>>): Promise<Child>
}

export type Child = { signal(signal: NodeJS.Signals): void; ended: Promise<ChildEnd> }
/** `failed`: it could not be started. */
export type ChildEnd =
  | { how: 'exited'; code: number }
  | { how: 'signalled'; signal: NodeJS.Signals }
  | { how: 'failed'; code: string }

/** What is wrong with the step as it is written: told as it is. */
export class StepError extends Error {
  override name = 'StepError'
}
