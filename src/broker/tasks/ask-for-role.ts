/** A workload that names a cloud role, as cloud SDKs do, and says no more of what it wants there. */
import type { Evidence } from '../../../attestors/attestor.ts'
import { matchAgent } from '../../policy/match-agent.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { WantedAsk } from '../credentials/resolve-asks.ts'
import { attest } from './attest.ts'

export type RoleWish = {
  /** The ARN. */
  role: string
  /** What it is for, where the workload says; otherwise all that the agent may have of the role. */
  statements?: readonly object[]
  /** Who may open sessions of it: the first of whom the agent may have this role. */
  issuers: readonly string[]
}

type RoleCeiling = Readonly<Record<string, unknown>> & { role: string }

/**
 * The ask that this is, by the ceiling of whoever the evidence proves. It is judged like any other: who matches no
 * agent, or may not have the role, is told so when the task is opened with it.
 *
 * @throws BrokerError `evidence_rejected`, `attestation_unavailable`; `ask_invalid` where several ceilings of the
 * agent are for that role and the workload does not say what it wants.
 */
export async function askForRole(broker: Broker, evidence: Evidence, wish: RoleWish): Promise<WantedAsk> {
  const identity = await attest(broker, evidence)
  const match = matchAgent(broker.agents().values(), identity, undefined, await broker.ledger.now())
  const ceiling = match.ok ? match.agent.ceiling : {}
  for (const issuer of wish.issuers) {
    const of = (ceiling[issuer] ?? []).filter((ask): ask is RoleCeiling => isFor(ask, wish.role))
    if (of.length > 0) return { issuer, ask: within(broker, issuer, wish, of) }
  }
  return { issuer: wish.issuers[0]!, ask: { role: wish.role, statements: wish.statements ?? [ANYTHING] } }
}

/** Stands for whatever was wanted of a role that the agent may not have: the denial names the role. */
const ANYTHING = { actions: ['sts:GetCallerIdentity'], resources: ['*'] }

const isFor = (ask: unknown, role: string) =>
  typeof ask === 'object' && ask !== null && (ask as { role?: unknown }).role === role

function within(broker: Broker, issuer: string, { role, statements }: RoleWish, of: readonly RoleCeiling[]) {
  if (statements === undefined) {
    if (of.length === 1) return of[0]!
    throw new BrokerError('ask_invalid', `there are ${of.length} ceilings for ${role}: say in Policy which`)
  }
  const plain = { role, statements }
  if (broker.issuers.get(issuer)?.ask.safeParse(plain).success !== false) return plain
  // A policy has no word for these: they are as the ceilings say, where the actions need them.
  const flag = (name: string) => ({ [name]: of.some(one => one[name] === true) })
  return { ...plain, ...flag('allow_role_chaining'), ...flag('allow_iam_writes') }
}
