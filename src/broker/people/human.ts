/**
 * The human on whose behalf a task runs: what their ID token said once, as the task keeps it. A child has its
 * parent's human and no other. The token itself is never stored.
 */
import type { OnBehalfOf } from '../../../issuers/issuer.ts'
import type { Agent } from '../../policy/agent.ts'
import type { HumanFacts } from '../../policy/facts.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { HumanVerifier } from './operator-identity.ts'

/** `use`: the id under which the token stands as used. */
export type Human = HumanFacts & OnBehalfOf & { name: string; email?: string; use: string }

/** Who vouches for humans, by issuer of their ID tokens. */
export type Humans = ReadonlyMap<string, { verify: HumanVerifier }>

/** `ISSUER#SUBJECT`: never given to anybody else, and the same that they have as an operator of that provider. */
export function humanId({ issuer, subject }: Pick<Human, 'issuer' | 'subject'>): string {
  return `${issuer}#${subject}`
}

/** The columns of a task that runs on behalf of this human, or of nobody. */
export function humanColumns(human: Human | undefined): Pick<TaskRow, 'human' | 'human_facts'> {
  if (human === undefined) return { human: null, human_facts: null }
  return { human: humanId(human), human_facts: JSON.stringify(human) }
}

/** For a use case to be spread into; nothing where the task runs on nobody's behalf. */
export function humanOf({ human_facts: facts }: Pick<TaskRow, 'human_facts'>): { human?: Human } {
  // Written by this file alone, and part of the row's MAC.
  return facts === null ? {} : { human: JSON.parse(facts) as Human }
}

/** As policy is told of them. */
export function humanFacts({ issuer, subject, groups }: Human): HumanFacts {
  return { issuer, subject, groups }
}

/** As issuers are told of them; for a grant to be spread into. */
export function onBehalfOf(task: Pick<TaskRow, 'human_facts'>): { onBehalfOf?: OnBehalfOf } {
  const { human } = humanOf(task)
  if (human === undefined) return {}
  const { issuer, subject, accounts } = human
  return { onBehalfOf: { issuer, subject, accounts } }
}

/** As owners, operators and auditors see them. */
export function shownHuman({ issuer, subject, name, groups }: Human) {
  return { issuer, subject, name, groups }
}

/** Nobody by default; otherwise whoever is in one of the groups that the agent names. */
export function mayActFor({ may_act_for }: Pick<Agent, 'may_act_for'>, { groups }: Human): boolean {
  return may_act_for?.groups.some(group => groups.includes(group)) ?? false
}

/**
 * Whether it is this human's own affair. Compared generously, since a match only takes away: another provider may
 * know the same human by the same mail address.
 */
export function isOnBehalfOf(
  task: Pick<TaskRow, 'human' | 'human_facts'>,
  { id, email }: { id: string; email?: string },
): boolean {
  const { human } = humanOf(task)
  if (human === undefined) return false
  return task.human === id || (email !== undefined && human.email?.toLowerCase() === email.toLowerCase())
}
