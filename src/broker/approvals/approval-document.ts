/**
 * What humans agree to: exactly what would be minted. The document is bound by the digest of its canonical form
 * (RFC 8785); at the mint it is written again from what is about to be minted, and must have the same digest.
 */
import { createHash } from 'node:crypto'
import type { Phase, Revocability, TouchedResource } from '../../../issuers/issuer.ts'
import { canonicalJson } from '../../canonical.ts'
import type { AskRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { issuerOf } from '../credentials/lease-plan.ts'
import { humanOf } from '../people/human.ts'

/** What the caller says and wants beside the ask itself. Texts of the caller: nobody vouches for them. */
export type Wish = {
  justification: string | null
  /** How many credentials may be minted under it. */
  mints: number
}

/** Times are RFC 3339, digests SHA-256 in hex. */
export type ApprovalDocument = {
  version: 1
  task: { id: string; purpose: string; opened_at: string }
  /** `digest`: the generation of the agent. */
  agent: { name: string; digest: string }
  /** The tasks above, root first. */
  line: { task: string; agent: string; digest: string }[]
  /** `digest`: of its configured settings. */
  issuer: { name: string; digest: string }
  /** Absent where the task runs on nobody's behalf. */
  on_behalf_of?: { issuer: string; subject: string; name: string }
  /** With ids in place of names. */
  ask: { id: string; authorization_details: object }
  phase: Phase
  permissions: string[]
  resources: TouchedResource[]
  targets: string[]
  may_leave_access: boolean
  revocability: Revocability
  /** By then the task is over, and so is everything minted for it. */
  deadline: string
  /** The policies that asked for it. */
  policy: string
  mints: number
  untrusted: { justification: string | null }
}

export type Subject = {
  task: Pick<TaskRow, 'id' | 'purpose' | 'opened_at' | 'agent' | 'human_facts'>
  /** Root first, without the task itself. */
  above: readonly Pick<TaskRow, 'id' | 'agent'>[]
  ask: Pick<AskRow, 'id' | 'issuer' | 'ask'>
  /** Epoch ms: the promise that the credential would carry. */
  deadline: number
}

/** As things are now. */
export function approvalDocument(
  broker: Broker,
  { task, above, ask, deadline }: Subject,
  { justification, mints }: Wish,
): ApprovalDocument {
  const issuer = issuerOf(broker, ask.issuer)
  const wanted = JSON.parse(ask.ask) as object
  const facts = issuer.facts(wanted)
  const generation = (name: string) => broker.agents().get(name)?.digest ?? 'none'
  return {
    version: 1,
    task: { id: task.id, purpose: task.purpose, opened_at: time(task.opened_at) },
    agent: { name: task.agent, digest: generation(task.agent) },
    line: above.map(one => ({ task: one.id, agent: one.agent, digest: generation(one.agent) })),
    issuer: { name: ask.issuer, digest: settingsOf(broker, ask.issuer) },
    ...shownOnBehalf(task),
    ask: { id: ask.id, authorization_details: { type: ask.issuer, ...wanted } },
    phase: facts.phase,
    permissions: [...facts.permissions],
    resources: [...facts.resources],
    targets: [...(facts.targets ?? [])],
    may_leave_access: facts.mayLeaveAccess,
    revocability: issuer.revocabilityOf?.(wanted) ?? issuer.revocability,
    deadline: time(deadline),
    policy: broker.policy.hash(),
    mints,
    untrusted: { justification },
  }
}

function shownOnBehalf(task: Pick<TaskRow, 'human_facts'>): Pick<ApprovalDocument, 'on_behalf_of'> {
  const { human } = humanOf(task)
  if (human === undefined) return {}
  const { issuer, subject, name } = human
  return { on_behalf_of: { issuer, subject, name } }
}

/** @throws BrokerError where this broker does not know by which settings an issuer was opened. */
export function settingsOf({ issuerDigests }: Broker, issuer: string): string {
  const digest = issuerDigests.get(issuer)
  if (digest !== undefined) return digest
  throw new BrokerError('configuration_stale', `the settings of ${issuer} are not known to this broker`)
}

/** The text that is kept and its digest. */
export function sealed(document: ApprovalDocument): { document: string; digest: string } {
  const text = canonicalJson(document)
  return { document: text, digest: createHash('sha256').update(text, 'utf8').digest('hex') }
}

export function readDocument(text: string): ApprovalDocument {
  return JSON.parse(text) as ApprovalDocument
}

/** The members that are not the same, for people: `deadline`, `agent`. */
export function changed(before: ApprovalDocument, after: ApprovalDocument): string[] {
  const names = Object.keys(after) as (keyof ApprovalDocument)[]
  return names.filter(name => canonicalJson(before[name]) !== canonicalJson(after[name]))
}

const time = (ms: number) => new Date(ms).toISOString()
