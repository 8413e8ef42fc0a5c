/**
 * Policies where they take two humans: the set that would be applied is written down with its plan, and planned
 * anew when the second agrees. What it would change then is what they were shown, or nothing is changed.
 */
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { demandDualControl } from '../broker/people/dual-control.ts'
import type { Operator } from '../broker/people/operators.ts'
import type { ChangeExecutor } from '../broker/people/people.ts'
import { canonicalDigest } from '../canonical.ts'
import { type Application, applyPlan, demandPlan } from './apply.ts'
import { type Planned, type PlannedChange, planSet } from './plan.ts'
import type { LiveRegistry } from './registry.ts'
import type { WantedSet } from './wanted.ts'

/** What stands in the change: plain JSON. */
type Proposal = Pick<WantedSet, 'documents' | 'remove' | 'prune'> & { changes: PlannedChange[] }

export function takesTwo({ people }: Broker, { changes }: Planned): boolean {
  return people.dualControl.policies && changes.some(({ resource }) => resource.kind === 'policy')
}

/**
 * @returns the id of the change that waits for a second human.
 * @throws BrokerError `registry_moved`, `request_invalid`, `forbidden`
 */
export async function proposePlan(
  broker: Broker,
  operator: Operator,
  { application, planned }: { application: Application; planned: Planned },
): Promise<string> {
  demandPlan(application, planned)
  const { set, reason } = application
  if (set.secrets.length > 0 || planned.changes.some(({ resource }) => resource.kind !== 'policy'))
    throw new BrokerError('request_invalid', 'policies take two humans here: apply them apart from the rest')
  const { documents, remove, prune } = set
  const document = plain({ documents, remove, prune, changes: planned.plan.changes })
  const answer = await broker.ledger.write(tx =>
    demandDualControl(broker, tx, operator, 'policies', { document, reason }),
  )
  if (answer !== 'apply') return answer.pending
  throw new BrokerError('request_invalid', 'policies do not take two humans here: apply the plan')
}

export function policyExecutor(broker: Broker, registry: LiveRegistry): ChangeExecutor {
  return {
    async apply(document, { operator, reason }, decide) {
      // Written by proposePlan alone, and MACed since.
      const { changes, ...proposed } = document as Proposal
      const set: WantedSet = { ...proposed, secrets: [] }
      const planned = await planSet(broker, registry.options, set)
      if (canonicalDigest(plain(planned.plan.changes)) !== canonicalDigest(changes))
        throw new BrokerError(
          'registry_moved',
          'what is registered has changed since, and so would what this changes: propose it again',
        )
      const application = { set, reason, plan: planned.plan }
      await applyPlan(broker, registry, operator, { application, planned, agreed: decide })
    },
  }
}

/** As it is after a way through JSON: without members that are undefined. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
