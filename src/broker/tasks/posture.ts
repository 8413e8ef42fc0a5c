/**
 * Where a workload runs: signed statements beside its identity (a sandbox's word for its network, the provenance of
 * an image), each verified by an attestor of its own and bound to the same workload. What they prove become claims
 * of the identity, under the name of the attestor that proved them: `sandbox.network`.
 */
import type { ClaimValue, Evidence, Proof } from '../../../attestors/attestor.ts'
import { canonicalJson } from '../../canonical.ts'
import type { Agent } from '../../policy/agent.ts'
import type { TaskRow } from '../../store/rows.ts'
import { boundKeyOf, type HeldKeys, isHeld } from '../bound/held-keys.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { IdentityFacts } from '../decisions/judged.ts'
import { examine, isOfPosture, rejectEvidence } from './attest.ts'
import { endTask } from './end-task.ts'

type Claims = Readonly<Record<string, ClaimValue>>
/** Of whom statements have to be. */
type Workload = {
  attestor: string
  subject: string
  claims: Claims
  /** `any`: whichever key a statement is of is taken to be shown, where it is only being supposed. */
  held: HeldKeys | 'any'
}
/** A rejection, or that a statement holds and is not of this workload. */
type Unproven = { ok: false; attestor: string; rejection: string; detail: string }
/** What each attestor proved, its claims under its own name, in the order in which they came. */
type Proven = ReadonlyMap<string, Claims>

/**
 * The identity with what was proven of its surroundings.
 *
 * @throws BrokerError `evidence_rejected`, one message for every cause; `attestation_unavailable`
 */
export async function withPosture(
  broker: Broker,
  identity: Identity,
  statements: readonly Evidence[],
  held: HeldKeys,
): Promise<Identity> {
  if (statements.length === 0) return identity
  const { attestor, subject, claims } = identity
  const proven = await proveAll(broker, statements, { attestor, subject, claims, held })
  return { ...identity, claims: Object.assign({}, claims, ...proven.values()) }
}

/** The part of an identity's claims that statements proved. */
export function postureOf({ attestors }: Pick<Broker, 'attestors'>, claims: Claims): Claims {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => isOfPosture(attestors, name)))
}

/**
 * A task whose heartbeats have to bring statements is opened with them: there would be nothing to hold those to.
 *
 * @throws BrokerError `posture_needed`
 */
export function demandPosture(agent: Agent, { claims }: Identity): void {
  const missing = missingPosture(agent, claims)
  if (missing === undefined) return
  const problem = `tasks of this agent are opened with a statement of ${missing}: send it in posture, to /v1/tasks`
  throw new BrokerError('posture_needed', problem)
}

/** The attestor of which a statement is missing among the claims that a task is opened with. */
export function missingPosture(agent: Agent, claims: Claims): string | undefined {
  return agent.posture_with_heartbeat?.find(name => !Object.keys(claims).some(isOf(name)))
}

/**
 * What a heartbeat has to bring along, where the agent says so: the same as the task was opened with. Another posture
 * than that is none that anything was judged by, and ends the task.
 *
 * @param shown keys beside the one that the task is bound to
 * @throws BrokerError `posture_needed`, `evidence_rejected`, `attestation_unavailable`, `task_not_active`,
 * `request_invalid` where the task was opened without such a statement
 */
export async function proveAgain(
  broker: Broker,
  task: TaskRow,
  statements: readonly Evidence[],
  shown: HeldKeys,
): Promise<void> {
  const needed = broker.agents().get(task.agent)?.posture_with_heartbeat ?? []
  if (needed.length === 0 && statements.length === 0) return
  const { attestor, subject, claims } = JSON.parse(task.identity) as IdentityFacts
  const before = postureOf(broker, claims)
  const own = Object.fromEntries(Object.entries(claims).filter(([name]) => !Object.hasOwn(before, name)))
  const proven = await proveAll(broker, statements, {
    attestor,
    subject,
    claims: own,
    held: { ...shown, ...boundKeyOf(task) },
  })
  const missing = needed.find(name => !proven.has(name))
  if (missing !== undefined)
    throw new BrokerError(
      'posture_needed',
      `each heartbeat of this task brings a fresh statement of ${missing}`,
    )
  for (const [by, now] of proven) {
    const then = Object.fromEntries(Object.entries(before).filter(([name]) => isOf(by)(name)))
    if (Object.keys(then).length === 0)
      throw new BrokerError('request_invalid', `the task was opened without a statement of ${by}`)
    if (canonicalJson(now) !== canonicalJson(then)) throw await endChanged(broker, task, then, now)
  }
}

async function endChanged(broker: Broker, task: TaskRow, then: Claims, now: Claims): Promise<BrokerError> {
  const claim = Object.keys({ ...then, ...now }).find(
    name => canonicalJson(then[name] ?? null) !== canonicalJson(now[name] ?? null),
  )
  broker.log.warn({ alarm: 'posture_changed', task: task.id, claim }, 'a task is ended')
  await endTask(broker, task.id, 'revoked', { actor: 'broker', detail: `its posture changed: ${claim}` })
  return new BrokerError(
    'task_not_active',
    'the task was ended: its surroundings are no longer what they were',
  )
}

/** As {@link proveAll}, without a trace of it: why not is for operators. @throws BrokerError `attestation_unavailable` */
export async function examinePosture(
  broker: Broker,
  statements: readonly Evidence[],
  { claims, ...workload }: Workload,
): Promise<{ ok: true; proven: Proven } | Unproven> {
  const examined = new Map<string, Proof>()
  for (const statement of statements) {
    const one = await examine(broker, statement, 'posture')
    if (!one.ok) return one
    const { attestor, ...proof } = one.identity
    // Of two, the one that comes last would count.
    if (examined.has(attestor)) return refused(attestor, 'stated_twice', 'two statements of one attestor')
    examined.set(attestor, proof)
  }
  // Those that are about a claim come last: what proves that claim may be another of them.
  const isAboutClaim = ({ about }: Proof) => about !== undefined && 'claim' in about
  const ordered = [...examined].toSorted(([, a], [, b]) => Number(isAboutClaim(a)) - Number(isAboutClaim(b)))
  const proven = new Map<string, Claims>()
  for (const [attestor, proof] of ordered) {
    const known: Claims = Object.assign({}, claims, ...proven.values())
    const problem = unbound(proof, { ...workload, claims: known })
    if (problem !== undefined) return refused(attestor, 'not_of_this_workload', problem)
    const named = Object.entries(proof.claims).map(([name, value]) => [`${attestor}.${name}`, value] as const)
    proven.set(attestor, Object.fromEntries(named))
  }
  return { ok: true, proven }
}

function refused(attestor: string, rejection: string, detail: string): Unproven {
  return { ok: false, attestor, rejection, detail }
}

async function proveAll(
  broker: Broker,
  statements: readonly Evidence[],
  workload: Workload,
): Promise<Proven> {
  const examined = await examinePosture(broker, statements, workload)
  if (examined.ok) return examined.proven
  throw await rejectEvidence(broker, examined.attestor, examined.rejection, examined.detail)
}

/** What keeps a statement from being about this workload; undefined where it is. */
function unbound({ about, boundKey }: Proof, workload: Workload): string | undefined {
  const { subject, claims, held } = workload
  if (boundKey === undefined && about === undefined) return 'it does not say of whom it is'
  if (held !== 'any' && !isHeld(boundKey, held)) return 'it is of another key'
  if (about === undefined) return undefined
  if ('subject' in about) {
    if (about.attestor !== undefined && about.attestor !== workload.attestor)
      return `it is of those that ${about.attestor} proves`
    return about.subject === subject ? undefined : 'it is of another subject'
  }
  const value = Object.hasOwn(claims, about.claim) ? claims[about.claim] : undefined
  if (value === undefined) return `nothing proved ${about.claim}, which it is about`
  return value === about.value ? undefined : `it is about another ${about.claim}`
}

/** A claim's own name has no dot. */
const isOf = (attestor: string) => (claim: string) =>
  claim.startsWith(`${attestor}.`) && !claim.slice(attestor.length + 1).includes('.')
