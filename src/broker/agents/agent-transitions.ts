/** How an agent may stand, what leads from one to another, and what it may do meanwhile. Pure. */
import type { Phase } from '../../../issuers/issuer.ts'
import type { AgentStatus } from '../../policy/facts.ts'
import type { KnownAgentRow, Standing } from '../../store/rows.ts'
import { BrokerError } from '../broker-error.ts'

export type StandingVerb = 'suspend' | 'quarantine' | 'activate' | 'offboard'

/** What each leads to. `offboarding` becomes `offboarded` by itself, and that is the end. */
export const TRANSITIONS: Readonly<Record<Standing, Partial<Record<StandingVerb, Standing>>>> = {
  active: { suspend: 'suspended', quarantine: 'quarantined', offboard: 'offboarding' },
  quarantined: { activate: 'active', suspend: 'suspended', offboard: 'offboarding' },
  suspended: { activate: 'active', quarantine: 'quarantined', offboard: 'offboarding' },
  offboarding: {},
  offboarded: {},
}

/** How it stands once the verb was carried out. */
export const GOALS: Readonly<Record<StandingVerb, Standing>> = {
  activate: 'active',
  quarantine: 'quarantined',
  suspend: 'suspended',
  offboard: 'offboarding',
}

/** Whether that is so already: then nothing changes, and it is no error, since an answer may have been lost. */
export function isDone(standing: Standing, verb: StandingVerb): boolean {
  return standing === GOALS[verb] || (verb === 'offboard' && standing === 'offboarded')
}

const WIDEST_FIRST: readonly Standing[] = ['active', 'quarantined', 'suspended', 'offboarding', 'offboarded']

/** Whether an agent may do more afterwards. */
export function isWidening(from: Standing, to: Standing): boolean {
  return WIDEST_FIRST.indexOf(to) < WIDEST_FIRST.indexOf(from)
}

/** @throws BrokerError `transition_refused`, which says what is possible */
export function transitionOf(from: Standing, verb: StandingVerb): Standing {
  const to = TRANSITIONS[from][verb]
  if (to !== undefined) return to
  const possible = Object.keys(TRANSITIONS[from]).join(', ') || 'nothing: register another agent'
  throw new BrokerError(
    'transition_refused',
    `an agent that is ${from} cannot ${verb}; possible: ${possible}`,
  )
}

/** As people see it: what its file says comes before what anybody said of it. */
export type ShownStatus = Standing | 'removed' | 'expired'

export function shownStatus(
  { status, standing }: Pick<KnownAgentRow, 'status' | 'standing'>,
  expiresAt: number,
  now: number,
): ShownStatus {
  if (standing === 'offboarding' || standing === 'offboarded') return standing
  if (status === 'removed') return 'removed'
  return standing === 'active' && expiresAt <= now ? 'expired' : standing
}

/** As policies see it. */
export function policyStatus(row: Pick<KnownAgentRow, 'status' | 'standing'> | undefined): AgentStatus {
  if (row === undefined) return 'active'
  if (row.status === 'removed') return 'removed'
  return row.standing === 'offboarding' ? 'offboarded' : row.standing
}

/**
 * Nothing is opened for, or minted by, an agent that is suspended or on its way out; for one in quarantine, what
 * only reads.
 *
 * @throws BrokerError `agent_not_active`, `agent_quarantined`
 */
export function demandWorking(
  { name, standing }: Pick<KnownAgentRow, 'name' | 'standing'>,
  phases: readonly (Phase | null)[],
): void {
  if (standing === 'active') return
  if (standing !== 'quarantined') throw new BrokerError('agent_not_active', `${name} is ${standing}`)
  if (phases.some(phase => phase !== 'read'))
    throw new BrokerError('agent_quarantined', `${name} is in quarantine: it may only read`)
}

/** Whether what was minted under it may stay. */
export function mayHold(standing: Standing, phase: Phase | null): boolean {
  return standing === 'active' || (standing === 'quarantined' && phase === 'read')
}
