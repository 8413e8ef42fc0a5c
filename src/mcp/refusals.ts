/** What was refused here, for as long as this process lives: a workload cannot look a decision up. */
import type { LocalProblem } from '../sidecar/protocol.ts'
import { MCP_LIMITS } from './limits.ts'

export type Told = Pick<LocalProblem, 'title' | 'detail' | 'code' | 'decision' | 'retry_after_ms'> & {
  retry: boolean
  /** What was wanted, in words. */
  wanted: string
}

export type Refusals = {
  note(told: Told): void
  /** The one of that decision, or the last. */
  find(decision?: string): Told | undefined
}

export function createRefusals(): Refusals {
  const all: Told[] = []
  return {
    note(told) {
      all.push(told)
      if (all.length > MCP_LIMITS.refusals) all.shift()
    },
    find: decision => (decision === undefined ? all.at(-1) : all.findLast(one => one.decision === decision)),
  }
}

/** What the model can do about a refusal; what it cannot, it tells the user. */
export function whatToDo(code: string): string {
  return Object.hasOwn(TO_DO, code) ? TO_DO[code]! : 'Tell the user what was refused, with its code.'
}

const OWNER = 'The same again is refused again: ask for less, or tell the user whom to ask for more.'
const LATER = 'This is an outage, and no refusal. Go on without it, and try again later.'
const EVIDENCE =
  'Tell the user: what mayfly mcp proves itself with (--evidence-file, or the CI job) is not good. Asking again ' +
  'with other words changes nothing.'

const TO_DO: Readonly<Record<string, string>> = {
  ask_denied: OWNER,
  forbidden: OWNER,
  budget_exhausted: 'What the agent may hold is used up: end tasks that are done with, or tell the user.',
  ask_invalid: 'Look at the form of the ask and at the name of its issuer, and ask again.',
  request_invalid: 'Look at the arguments, and call it again.',
  agent_unmatched: 'Tell the user: the broker knows no such agent, or several (mayfly mcp --agent NAME).',
  agent_not_active:
    'Tell the user: the agent is suspended or expired, and gets nothing until its owner acts.',
  agent_quarantined: 'For now the agent may only read: ask for read permissions, or tell the user.',
  event_not_allowed: 'Tell the user: the rule of the agent does not name this kind of CI event.',
  evidence_rejected: EVIDENCE,
  evidence_unavailable: EVIDENCE,
  evidence_in_use: 'The evidence is in use by a task that goes on: use that one, or end it first.',
  approval_pending: 'Humans are asked. Call wait_for_approval, and go on with something else meanwhile.',
  approval_over: 'Humans said no, or nobody answered. Tell the user the reason; ask anew only if it is met.',
  ask_over: 'That ask is over and stays so. Tell the user the reason; ask anew only if it is met.',
  task_not_active: 'The task is over. Open another where the work goes on; status tells which are active.',
  not_found: 'No such task or ask is held here: status lists them.',
  tasks_full: 'End tasks that are done with (end_task).',
  blocked: 'An operator has stopped this. Tell the user, and do not look for another way.',
  provider_refused: 'The provider said no, and nothing was created: look at the names in the ask.',
  rate_limited: 'Too much at once: wait, and try again.',
  rejected_too_often: 'Its provider refuses it: look at what the provider says.',
  broker_unreachable: LATER,
  provider_unavailable: LATER,
  attestation_unavailable: LATER,
  policy_unavailable: LATER,
  mint_contended: LATER,
  ledger_unavailable: LATER,
  ledger_restored: LATER,
  foreign:
    'Tell the user: what answers at the address of the broker is none, or something before it is down.',
  local_failure:
    'This is a fault of mayfly mcp; what it says on standard error may tell more. Tell the user.',
}

/** For the user to pass on; the reason in full is the owner's to see. */
export function forTheOwner({ decision, wanted }: Pick<Told, 'wanted'> & { decision?: string | undefined }) {
  const what = wanted === '' ? 'what was refused' : wanted
  return decision === undefined
    ? `Ask whoever answers for the agent whether it may have ${what}.`
    : `Ask whoever answers for the agent whether it may have ${what}; they see the reason with: ` +
        `mayfly explain ${decision}`
}
