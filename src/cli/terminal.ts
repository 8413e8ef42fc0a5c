import type { Edge } from '../server.ts'

/** The process, as commands see it: nothing in `cli/` touches the real one. */
export type Terminal = {
  env: Readonly<Record<string, string | undefined>>
  /** Where the program's own files start: the checkout or the installed package. */
  packageRoot: string
  out(text: string): void
  err(text: string): void
  /** The exit code once everything has ended. */
  exitWith(code: number): void
  /** Runs on SIGINT, SIGTERM or SIGHUP until taken back. */
  onSignal(signal: NodeJS.Signals, run: () => void): () => void
  fetch: typeof fetch
  /** Creates the file with mode 0600; refuses to touch one that exists. */
  writeSecretFile(path: string, text: string): Promise<void>
  /** The outside world for a server, logging at this level. */
  edge(logLevel?: string): Edge
}

/** What went wrong, for a person: printed without a stack, and the process ends with `exitCode`. */
export class CommandError extends Error {
  override name = 'CommandError'
  readonly exitCode: number
  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}
