import { CommanderError } from 'commander'
import { BrokerError } from '../broker/broker-error.ts'
import { ConfigError } from '../config/problem.ts'
import { KeyringError } from '../keys/keyring-error.ts'
import { CommandError, EXIT } from './terminal.ts'

/** @returns the exit code of a command that threw, and what is said of it: a fault of ours with its stack. */
export function failureOf(error: unknown): { code: number; said: string } {
  // Commander has said what it has to say; help that was asked for is no error.
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? EXIT.ok : EXIT.usage, said: '' }
  const code = error instanceof CommandError ? error.exitCode : EXIT.failure
  if (!(error instanceof Error)) return { code, said: `mayfly: ${error}\n` }
  return { code, said: `mayfly: ${isExpected(error) ? error.message : error.stack}\n` }
}

/** What a person can act on is said without a stack. */
function isExpected(error: Error): boolean {
  return (
    error instanceof CommandError ||
    error instanceof BrokerError ||
    error instanceof ConfigError ||
    error instanceof KeyringError ||
    ['LedgerInUse', 'LedgerUnavailable', 'UnsafeDatabase', 'CannotListen'].includes(error.name)
  )
}
