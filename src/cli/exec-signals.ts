/** Signals on their way to the command that `mayfly exec` runs. */
import { constants } from 'node:os'
import { type Child, CommandError, type Terminal } from './terminal.ts'

/** Those that mean an end, of the command and so of its task. */
const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
/** What a command may make of these is its own; they would end this process, or be lost to the command. */
const PASSED_ON = ['SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const
/** A terminal sends these to every process in front of it, the child among them. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGTSTP', 'SIGWINCH'])

export type Signals = {
  /** Aborted as soon as one came before the command was started. */
  early: AbortSignal
  /** @throws CommandError where one came before the command was started */
  throwIfAny(): void
  passTo(child: Child): void
  /** From now on they are handed to whoever waits for the end. */
  onNext(run: () => void): void
  release(): void
}

/** Signals from now on: noted first, then passed to the child, then handed to whoever waits for the end. */
export function watchSignals(terminal: Terminal): Signals {
  let received: NodeJS.Signals | undefined
  const early = new AbortController()
  let handle = (signal: NodeJS.Signals) => {
    received ??= signal
    early.abort()
  }
  const releases = ENDS.map(signal => terminal.onSignal(signal, () => handle(signal)))
  const isFromTerminal = (signal: NodeJS.Signals) => terminal.hasTerminal && FROM_TERMINAL.has(signal)
  return {
    early: early.signal,
    throwIfAny() {
      if (received === undefined) return
      const exitCode = 128 + constants.signals[received]
      throw new CommandError(`${received} came before the command was started`, { exitCode })
    },
    passTo(child) {
      handle = signal => {
        if (!isFromTerminal(signal)) child.signal(signal)
      }
      for (const signal of PASSED_ON) releases.push(terminal.onSignal(signal, () => handle(signal)))
      // Job control: the command stops first, this process after it, and `fg` wakes both.
      releases.push(
        terminal.onSignal('SIGTSTP', () => {
          handle('SIGTSTP')
          terminal.stopSelf()
        }),
      )
      if (received !== undefined) child.signal(received)
    },
    onNext(run) {
      handle = signal => {
        if ((ENDS as readonly string[]).includes(signal)) run()
      }
    },
    release() {
      for (const off of releases) off()
    },
  }
}
