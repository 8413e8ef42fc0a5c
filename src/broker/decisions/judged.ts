/** What a decision is about: whose ask, on what proof, for how long, and below whom. */
import type { Issuer } from '../../../issuers/issuer.ts'
import type { ApprovalFacts, Declared } from '../../policy/facts.ts'
import type { DecisionRow, TaskRow } from '../../store/rows.ts'
import type { Identity } from '../broker.ts'
import { type Human, humanOf } from '../people/human.ts'

/** The part of an identity that is kept: what was proven, never the evidence. */
export type IdentityFacts = Pick<Identity, 'attestor' | 'issuer' | 'subject' | 'claims' | 'mustName'>

export function identityFacts({ attestor, issuer, subject, claims, mustName }: Identity): IdentityFacts {
  return { attestor, issuer, subject, claims, ...(mustName === undefined ? {} : { mustName }) }
}

/** Whom a decision is about. */
export type Judged = {
  /** Null while the task is only being asked for. */
  task: string | null
  agent: string
  identity: IdentityFacts
  purpose: string
  /** Epoch ms. */
  deadline: number
  /** The tasks above, root first. */
  line: readonly TaskRow[]
  /** On whose behalf. */
  human?: Human
  /** Nobody outside is asked about that human: it is only being supposed. */
  supposed?: true
  /**
   * What records this decision holds every agent of it to its standing, under the locks: nobody asks for it before,
   * and where one may not, it is judged once more, with the question.
   */
  heldUnderLocks?: true
  /**
   * What records this decision mints by it, and looks under the locks whether its agent still stands as this broker
   * remembers it, and was given no more. Only an allow is recorded that way: anything else is judged again by the ledger.
   */
  mayRecall?: true
  /** What the caller said of itself as it asked. */
  declared?: Declared
  /** Where it is judged again: the decision of before. */
  before?: string
}

export type JudgedAsk = {
  issuerName: string
  issuer: Issuer
  ask: unknown
  /** Who has agreed to it so far, where somebody was asked. */
  approval?: ApprovalFacts
}

/** A task as decisions speak of it. @param line the tasks above it, root first. */
export function judgedTask(task: TaskRow, line: readonly TaskRow[]): Judged & { task: string } {
  const { id, agent, purpose, deadline } = task
  const identity = JSON.parse(task.identity) as IdentityFacts
  return { task: id, agent, purpose, deadline, line, identity, ...humanOf(task) }
}

/** What the caller had said of itself when this was decided: an ask that is judged again is judged by it again. */
export function declaredIn({
  id,
  facts,
}: Pick<DecisionRow, 'id' | 'facts'>): Pick<Judged, 'declared' | 'before'> {
  const { declared } = JSON.parse(facts) as { declared?: Declared }
  return { before: id, ...(declared === undefined ? {} : { declared }) }
}
