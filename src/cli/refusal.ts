/** What the broker refused, for a person: what was wrong, where to look it up, what to do. */
import { printable } from './print.ts'
import { CommandError, EXIT } from './terminal.ts'

/** The members of an RFC 9457 problem document that are used here. */
export type Problem = { title: string; detail: string; code: string; decision?: string | undefined }

export class BrokerRefusal extends CommandError {
  override name = 'BrokerRefusal'
  readonly status: number
  readonly code: string
  constructor(status: number, problem: Problem, retryAfterMs: number | undefined) {
    super(describe(problem, retryAfterMs), { exitCode: exitCodeOf(status, problem.code) })
    this.status = status
    this.code = problem.code
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

function describe(problem: Problem, retryAfterMs: number | undefined): string {
  const { code, decision } = problem
  const advice = ADVICE[code]
  return [
    `${printable(problem.title)}: ${printable(problem.detail)} (${printable(code)})`,
    ...(decision === undefined
      ? []
      : [
          `Quote decision ${printable(decision)} to whoever answers for the agent. They see why with:`,
          `  mayfly explain ${printable(decision)}`,
        ]),
    ...(retryAfterMs === undefined ? [] : [`Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`]),
    ...(advice === undefined ? [] : [advice]),
  ].join('\n  ')
}

/** What to do, where it is more than the detail says already. */
const ADVICE: Readonly<Record<string, string>> = {
  ask_invalid: 'Asks name an issuer of this broker, and what to want of it: see mayfly token --help.',
  evidence_rejected:
    'Evidence must be fresh, not used before, and made for the audience that the broker expects ' +
    '(MAYFLY_AUDIENCE). Why it was refused is in the audit log of the broker.',
  attestation_unavailable:
    "The identity provider's keys could not be had. This is an outage; try again later.",
  agent_unmatched: 'Name the agent with --agent if this workload may be several; else have it registered.',
  event_not_allowed: 'The rule of the agent must name this event before it may be used.',
  registry_moved: 'Look at what it would be now, with mayfly plan, and apply that.',
  ask_denied: 'Ask for less, or have whoever answers for the agent allow more.',
  provider_refused: 'The issuer asked, and its provider said no; nothing was created.',
  provider_unavailable: 'Whatever may have been created is in the ledger and dies with the task. Try again.',
  ledger_restored: 'Operators: mayfly revocations --blocking, and docs/operations.md.',
  unauthenticated: 'The token is unknown or past its time. Operators: see mayfly operator --help.',
  task_not_active: 'Open a new task.',
  internal: 'This is a fault of the broker; its log says more.',
  foreign: 'Check the address: --broker, or MAYFLY_URL.',
}

function exitCodeOf(status: number, code: string): number {
  if (code === 'ask_invalid') return EXIT.usage
  if (status === 401 || status === 403) return EXIT.denied
  return status === 429 || status >= 502 ? EXIT.unavailable : EXIT.failure
}
