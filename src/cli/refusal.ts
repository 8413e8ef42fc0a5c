/** What the broker refused, for a person: what was wrong, where to look it up, what to do. */
import {
  ADVICE as CLIENT_ADVICE,
  describe,
  isPending,
  isUnavailable,
  type MayflyError,
} from '../client/mayfly-error.ts'
import { printable } from './print.ts'
import { CommandError, EXIT } from './terminal.ts'

export class BrokerRefusal extends CommandError {
  override name = 'BrokerRefusal'
  readonly status: number | undefined
  readonly code: string
  constructor(refused: MayflyError) {
    const { problem, retryAfterMs, status, code } = refused
    const message = problem === undefined ? refused.message : describe(problem, retryAfterMs, ADVICE)
    super(message, { exitCode: exitCodeOf(refused) })
    this.status = status
    this.code = code
  }
}

export function brokerUnreachable(url: string, code: string, cause: unknown): CommandError {
  const refused = code === 'ECONNREFUSED'
  return new CommandError(
    refused
      ? `no broker answers at ${url}.\n  Start one with: mayfly serve. Or say where it is: --broker URL, or MAYFLY_URL.`
      : `the broker at ${url} could not be reached, or its answer was lost (${printable(code)}).\n` +
          '  Check the address (--broker or MAYFLY_URL), the network and the certificate, and try again.',
    { exitCode: EXIT.unavailable, cause },
  )
}

/** What to do, where it is more than the detail says already. */
const ADVICE: Readonly<Record<string, string>> = {
  ...CLIENT_ADVICE,
  ask_invalid: 'Asks name an issuer of this broker, and what to want of it: see mayfly token --help.',
  evidence_rejected:
    'Evidence must be fresh, not used before, and made for the audience that the broker expects ' +
    '(MAYFLY_AUDIENCE). Why it was refused is in the audit log of the broker.',
  agent_unmatched: 'Name the agent with --agent if this workload may be several; else have it registered.',
  approval_pending:
    'Wait for them (mayfly task wait, with the file of the task), and ask for the credential then.',
  registry_moved: 'Look at what it would be now, with mayfly plan, and apply that.',
  ledger_restored: 'Operators: mayfly revocations --blocking, and docs/operations.md.',
  target_unknown: 'To refuse a name before it is registered, say so: --hold --unregistered.',
  unauthenticated: 'The token is unknown or past its time. Operators: see mayfly operator --help.',
  foreign: 'Check the address: --broker, or MAYFLY_URL.',
}

function exitCodeOf(refused: MayflyError): number {
  if (refused.code === 'ask_invalid') return EXIT.usage
  if (refused.status === 401 || refused.status === 403) return EXIT.denied
  if (isUnavailable(refused) || isPending(refused)) return EXIT.unavailable
  return EXIT.failure
}
