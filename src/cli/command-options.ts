/** Options that several commands take, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { OPERATOR_HELP } from './operator-token.ts'

export const DEFAULT_CONFIG = 'config/mayfly.yaml'
export const JSON_OPTION = ['--json', 'print JSON'] as const

export const BEHALF_OPTION = [
  '--on-behalf-of-file <file>',
  'the ID token of the human on whose behalf, good once',
] as const

/** What opening a task takes, wherever it is done. */
export function withOpening(command: Command): Command {
  return command
    .option('--ask <ask>', 'what is wanted, see below; may be repeated', gather)
    .option('--ask-json <json>', 'the same in JSON; may be repeated', gather)
    .option('--agent <name>', 'which agent this is, where it may be several')
    .option('--purpose <text>', 'what for, for the audit log')
    .option('--justification <text>', 'why, for whoever is asked to agree')
    .option('--minutes <n>', 'how long it may take', wholeNumber)
    .option('--confidence <n>', 'how sure you are, 0 to 100; it can only be held against you', wholeNumber)
    .addOption(
      new Option('--urgency <how>', 'how urgent it is; as confidence').choices(['low', 'normal', 'high']),
    )
    .option('--evidence-file <file>', 'a JWT that proves what this is; - for stdin')
    .option('--posture-file <file>', 'a signed statement of where this runs; may be repeated', gather)
    .option('--broker <url>', 'where the broker is (MAYFLY_URL, or http://127.0.0.1:8480)')
}

export function withOperator(command: Command): Command {
  return command
    .option('--operator-token-file <file>', 'mode 0600 (MAYFLY_OPERATOR_TOKEN_FILE)')
    .option('--broker <url>', "the operators' address")
    .option(...JSON_OPTION)
    .addHelpText('after', `\n${OPERATOR_HELP}`)
}

export function withProviderLogs(command: Command): Command {
  return command
    .option('--github-audit <file>', "GitHub's audit log, JSON or JSON lines")
    .option('--cloudtrail <file>', 'AWS CloudTrail, JSON or JSON lines')
}

export function gather(one: string, before: string[] = []): string[] {
  return [...before, one]
}

export function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a whole number.')
}
