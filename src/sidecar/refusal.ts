/** What the server does not do, as a problem document: its own refusals, and the broker's passed on. */
import { isUnavailable, MayflyError } from '../client/mayfly-error.ts'
import type { LocalCode, LocalProblem } from './protocol.ts'

export class Refusal extends Error {
  override name = 'Refusal'
  readonly code: LocalCode
  readonly approvals: readonly string[]
  constructor(code: LocalCode, detail: string, { approvals = [] }: { approvals?: readonly string[] } = {}) {
    super(detail)
    this.code = code
    this.approvals = approvals
  }
}

const STATUS: Readonly<Record<LocalCode, readonly [status: number, title: string]>> = {
  local_unauthorized: [401, 'Not authorized'],
  local_host_refused: [421, 'Another address'],
  request_invalid: [400, 'The request is not valid'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'Method not allowed'],
  host_unmatched: [404, 'Another host'],
  repository_unsaid: [409, 'Which repository?'],
  ask_unmatched: [404, 'Nothing was asked for that'],
  ask_contentless: [403, 'The ask gives no contents'],
  task_ambiguous: [409, 'Which task?'],
  opening_refused: [403, 'No task is opened here'],
  evidence_unavailable: [503, 'No evidence'],
  approval_pending: [409, 'Humans are asked'],
  ask_over: [403, 'The ask is over'],
  task_not_active: [409, 'The task has ended'],
  rejected_too_often: [429, 'Refused too often'],
  tasks_full: [409, 'Too many tasks'],
  broker_unreachable: [503, 'The broker does not answer'],
  local_failure: [500, 'A fault of the local server'],
}

/** Holds no secret: what an unexpected error says is left out. */
export function problemOf(error: unknown): LocalProblem {
  if (error instanceof Refusal) {
    const [status, title] = STATUS[error.code]
    const { code, message: detail, approvals } = error
    return { title, status, detail, code, ...(approvals.length > 0 && { approvals: [...approvals] }) }
  }
  if (error instanceof MayflyError) return passedOn(error)
  const [status, title] = STATUS.local_failure
  return { title, status, detail: 'it is told where the server runs', code: 'local_failure' }
}

function passedOn(error: MayflyError): LocalProblem {
  const { problem, status, code, message, retryAfterMs } = error
  const wait = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
  if (problem !== undefined && status !== undefined) {
    const { title, detail, decision } = problem
    return { title, status, detail, code, ...(decision !== undefined && { decision }), ...wait }
  }
  if (isUnavailable(error)) {
    const [unavailable, title] = STATUS.broker_unreachable
    return { title, status: unavailable, detail: message, code: 'broker_unreachable', ...wait }
  }
  return { title: 'The broker could not be asked', status: 502, detail: message, code }
}
