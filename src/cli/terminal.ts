import type { Readable, Writable } from 'node:stream'
import type { Edge } from '../open-core.ts'

/** The process, as commands see it: nothing in `cli/` touches the real one. */
export type Terminal = {
  env: Readonly<Record<string, string | undefined>>
  /** Where the program's own files start: the checkout or the installed package. */
  packageRoot: string
  /** How this very program is started: the interpreter, and what it runs. */
  self: readonly string[]
  out(text: string): void
  err(text: string): void
  /** Whether a person reads what goes to `out`, instead of a file or another program. */
  outIsTerminal: boolean
  /** Whether a terminal stands behind any standard stream; it sends Ctrl-C to children by itself. */
  hasTerminal: boolean
  /** The exit code once everything has ended. */
  exitWith(code: number): void
  /** Runs on the signal until taken back. */
  onSignal(signal: NodeJS.Signals, run: () => void): () => void
  /** This process stands still until it is continued, as job control wants it. */
  stopSelf(): void
  random(bytes: number): Uint8Array
  /** Epoch ms. */
  now(): number
  /** Runs once after `ms`; the returned function takes it back. */
  schedule(ms: number, run: () => void): () => void
  fetch: typeof fetch
  /** UTF-8 text and permission bits, from one handle. @throws NodeJS.ErrnoException, `EFBIG` past `maxBytes` */
  readFile(path: string, maxBytes: number): Promise<{ text: string; mode: number }>
  /** Standard input and output as they are, for a protocol that is spoken over both. */
  streams(): { input: Readable; output: Writable }
  /** Standard input to its end. @throws Error with code `EFBIG` past `maxBytes` */
  readStdin(maxBytes: number): Promise<string>
  /**
   * Reserves a file with mode 0600, and its folder, before there is anything to put into it.
   * `replace`: an existing file is exchanged whole at `commit`. @throws NodeJS.ErrnoException, `EEXIST` without `replace`
   */
  createSecretFile(path: string, options?: { replace?: boolean }): Promise<SecretFile>
  removeFile(path: string): Promise<void>
  /** A new one that only its owner can look into, where sockets and short-lived files go. @returns its path */
  makeFolder(): Promise<string>
  /** With what is in it. */
  removeFolder(path: string): Promise<void>
  /** Starts a program on this process's own stdin, stdout and stderr, with exactly this environment. */
  run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Child
  /** The outside world for a server, logging at this level. */
  edge(logLevel?: string): Promise<Edge>
}

/** `discard` after `commit` does nothing: what is there stays. */
export type SecretFile = { commit(text: string): Promise<void>; discard(): Promise<void> }

export type Child = { signal(signal: NodeJS.Signals): void; ended: Promise<ChildEnd> }
/** `failed`: it could not be started. */
export type ChildEnd =
  | { how: 'exited'; code: number }
  | { how: 'signalled'; signal: NodeJS.Signals }
  | { how: 'failed'; error: NodeJS.ErrnoException }

/** What the exit code of a command says (`nothing`: it matched nothing); `exec` passes on its child's own once that has started. */
export const EXIT = { ok: 0, failure: 1, usage: 2, denied: 3, unavailable: 4, nothing: 5 } as const

/** What went wrong, for a person: printed without a stack, and the process ends with `exitCode`. */
export class CommandError extends Error {
  override name = 'CommandError'
  readonly exitCode: number
  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? EXIT.failure
  }
}

/** The command line itself is wrong: what was expected is in the message. */
export function usageError(message: string): CommandError {
  return new CommandError(message, { exitCode: EXIT.usage })
}

export function sleep(terminal: Pick<Terminal, 'schedule'>, ms: number): Promise<void> {
  return new Promise(resolve => void terminal.schedule(ms, resolve))
}

/** What the file system said, as a word: `ENOENT`, `EACCES`. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
