/** Whom a task is opened on behalf of: the human whose ID token came with the evidence, or its parent's human. */
import type { JwtEvidence } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { Agent } from '../../policy/agent.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { identityFacts } from '../decisions/judged.ts'
import { demandAllowed, newDecision } from '../decisions/record-decision.ts'
import { type Claim, claimOf } from '../tasks/claim-evidence.ts'
import type { Parent } from '../tasks/new-task.ts'
import { verifiedTask } from '../verified-rows.ts'
import { type Human, humanOf, mayActFor, shownHuman } from './human.ts'
import { humanClaim, type PresentedHuman, verifyOnBehalfOf } from './human-token.ts'

/** @throws BrokerError `request_invalid`, `evidence_rejected`, `attestation_unavailable` */
export async function presentedHuman(
  broker: Broker,
  { onBehalfOf, ticket }: { onBehalfOf?: JwtEvidence; ticket?: Secret },
  identity: Identity,
): Promise<PresentedHuman | undefined> {
  if (identity.human !== undefined) return signedIn(identity, identity.human, { onBehalfOf, ticket })
  if (onBehalfOf === undefined) return undefined
  if (ticket !== undefined)
    throw new BrokerError('request_invalid', 'a child acts on behalf of whom its parent does: name nobody')
  return verifyOnBehalfOf(broker, onBehalfOf)
}

/** Who signed in for a process of their own is whom it acts for. */
function signedIn(
  { issuer, subject, replay }: Identity,
  person: NonNullable<Identity['human']>,
  { onBehalfOf, ticket }: { onBehalfOf: JwtEvidence | undefined; ticket: Secret | undefined },
): PresentedHuman {
  if (onBehalfOf !== undefined)
    throw new BrokerError('request_invalid', 'a human who signs in is who it is on behalf of: name nobody')
  if (ticket !== undefined)
    throw new BrokerError(
      'request_invalid',
      'a ticket is redeemed with the evidence of a workload: a human who signs in opens a task of their own',
    )
  return { human: { ...person, issuer, subject, use: `human/${replay.id}` }, until: replay.until }
}

/** A child cannot drop or change it. @throws AlteredRow, BrokerError `ask_denied` */
export async function humanFor(
  broker: Broker,
  {
    agent,
    parent,
    presented,
  }: { agent: Agent; parent: Parent | undefined; presented: PresentedHuman | undefined },
  about: { identity: Identity; purpose: string },
): Promise<Human | undefined> {
  const above = parent?.line.at(-1)
  const human = above === undefined ? presented?.human : humanOf(verifiedTask(broker, above)).human
  if (human === undefined) return undefined
  const refusal = refusalToAct(agent, human)
  if (refusal === undefined) return human
  const { purpose, identity } = about
  const facts = { identity: identityFacts(identity), agent: agent.name, purpose, human: shownHuman(human) }
  const row = { task: null, agent: agent.name, outcome: 'deny', reasons: [refusal], facts } as const
  await demandAllowed(broker, newDecision(broker, row), 'the agent may not act on behalf of this human')
  return human
}

/** Undefined: it may act for them. */
export function refusalToAct(agent: Agent, human: Human): string | undefined {
  if (mayActFor(agent, human)) return undefined
  return `${agent.name} may not act for ${human.name}: none of their groups is in its may_act_for`
}

/** What of it is used up: evidence or ticket first; the human's token beside that, or alone. */
export function claimsOf(
  broker: Broker,
  identity: Identity,
  { parent, presented }: { parent: Parent | undefined; presented: PresentedHuman | undefined },
  digest: string,
): { claim: Claim | undefined; beside: Claim | undefined } {
  const first = claimOf(broker, identity, parent, digest)
  const human = humanClaim(broker, presented, digest)
  return first === undefined ? { claim: human, beside: undefined } : { claim: first, beside: human }
}

/** For the audit log: on whose behalf, where on somebody's. */
export function behalfOf({ human }: Pick<TaskRow, 'human'>): { on_behalf_of?: string } {
  return human === null ? {} : { on_behalf_of: human }
}
