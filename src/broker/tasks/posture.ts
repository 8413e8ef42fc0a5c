/**
 * Where a workload runs: signed statements beside its identity (a sandbox's word for its network, the provenance of
 * an image), each verified by an attestor of its own and bound to the same workload. What they prove become claims
 * of the identity, under the name of the attestor that proved them: `sandbox.network`.
 */
import type { ClaimValue, Evidence, Proof } from '../../../attestors/attestor.ts'
import { canonicalJson } from '../../canonical.ts'
import type { TaskRow } from '../../store/rows.ts'
import { boundKeyOf, type HeldKeys, isHeld } from '../bound/held-keys.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { IdentityFacts } from '../decisions/judged.ts'
import { examine, rejectEvidence } from './attest.ts'
import { endTask } from './end-task.ts'

type Claims = Record<string, ClaimValue>
/** Of whom statements have to be. */
type Workload = { subject: string; claims: Readonly<Claims>; held: HeldKeys }

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
  const { subject } = identity
  const proven = await proveAll(broker, statements, { subject, claims: identity.claims, held })
  return { ...identity, claims: { ...identity.claims, ...proven } }
}

/**
 * What a heartbeat has to bring along, where the agent says so: the same as the task was opened with. Another posture
 * than that is none that anything was judged by, and ends the task.
 *
 * @throws BrokerError `posture_needed`, `evidence_rejected`, `attestation_unavailable`, `task_not_active`
 */
export async function proveAgain(
  broker: Broker,
  task: TaskRow,
  statements: readonly Evidence[],
): Promise<void> {
  const needed = broker.agents().get(task.agent)?.posture_with_heartbeat ?? []
  if (needed.length === 0 && statements.length === 0) return
  const { subject, claims } = JSON.parse(task.identity) as IdentityFacts
  const own = Object.fromEntries(Object.entries(claims).filter(([name]) => !isOfPosture(broker, name)))
  const proven = await proveAll(broker, statements, { subject, claims: own, held: { ...boundKeyOf(task) } })
  const missing = needed.find(name => !Object.keys(proven).some(claim => claim.startsWith(`${name}.`)))
  if (missing !== undefined)
    throw new BrokerError(
      'posture_needed',
      `each heartbeat of this task brings a fresh statement of ${missing}`,
    )
  const changed = Object.entries(proven).find(
    ([name, value]) => canonicalJson(value) !== canonicalJson(claims[name] ?? null),
  )
  if (changed === undefined) return
  const detail = `its posture changed: ${changed[0]}`
  broker.log.warn({ alarm: 'posture_changed', task: task.id, claim: changed[0] }, 'a task is ended')
  await endTask(broker, task.id, 'revoked', { actor: 'broker', detail })
  throw new BrokerError(
    'task_not_active',
    'the task was ended: its surroundings are no longer what they were',
  )
}

async function proveAll(
  broker: Broker,
  statements: readonly Evidence[],
  { subject, claims, held }: Workload,
): Promise<Claims> {
  let proven: Claims = {}
  for (const statement of statements) {
    const examined = await examine(broker, statement, 'posture')
    if (!examined.ok)
      throw await rejectEvidence(broker, examined.attestor, examined.rejection, examined.detail)
    const { attestor, ...proof } = examined.identity
    const problem = unbound(proof, { subject, claims: { ...claims, ...proven }, held })
    if (problem !== undefined) throw await rejectEvidence(broker, attestor, 'not_of_this_workload', problem)
    const named = Object.entries(proof.claims).map(([name, value]) => [`${attestor}.${name}`, value] as const)
    proven = { ...proven, ...Object.fromEntries(named) }
  }
  return proven
}

/** What keeps a statement from being about this workload; undefined where it is. */
function unbound({ about, boundKey }: Proof, { subject, claims, held }: Workload): string | undefined {
  if (boundKey !== undefined) return isHeld(boundKey, held) ? undefined : 'it is of another key'
  if (about === undefined) return 'it does not say of whom it is'
  if ('subject' in about) return about.subject === subject ? undefined : 'it is of another subject'
  const value = Object.hasOwn(claims, about.claim) ? claims[about.claim] : undefined
  if (value === undefined) return `nothing proved ${about.claim}, which it is about`
  return value === about.value ? undefined : `it is about another ${about.claim}`
}

function isOfPosture({ attestors }: Broker, claim: string): boolean {
  return [...attestors].some(([name, { posture }]) => posture && claim.startsWith(`${name}.`))
}
