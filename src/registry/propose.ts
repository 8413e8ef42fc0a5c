/**
 * What takes two humans: the set that would be applied is written down with its plan, and planned anew when the second
 * agrees. What it would change then is what they were shown, or nothing is changed. Secrets are shown to nobody: the
 * change says of each whose it is and its fingerprint, and holds their values sealed.
 */
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { type ChangeKind, demandDualControl } from '../broker/people/dual-control.ts'
import type { Operator } from '../broker/people/operators.ts'
import type { ChangeExecutor } from '../broker/people/people.ts'
import { canonicalDigest } from '../canonical.ts'
import type { ChangeRow } from '../store/rows.ts'
import { type Application, applyPlan, demandPlan } from './apply.ts'
import { namespacesIn } from './documents.ts'
import { type Planned, type PlannedChange, planSet } from './plan.ts'
import type { LiveRegistry } from './registry.ts'
import { fingerprintOf, type SecretOf } from './secrets.ts'
import type { UploadedSecret, WantedSet } from './wanted.ts'

type ShownSecret = SecretOf & { fingerprint: string }

/** What stands in the change: plain JSON. `secrets` is not there where there are none. */
type Proposal = Omit<WantedSet, 'secrets'> & {
  changes: PlannedChange[]
  secrets?: ShownSecret[]
}

/**
 * @returns the id of the change that waits for a second human.
 * @throws BrokerError `registry_moved`, `request_invalid`, `forbidden`
 */
export async function proposePlan(
  broker: Broker,
  operator: Operator,
  { application, planned, kind }: { application: Application; planned: Planned; kind: ChangeKind },
): Promise<string> {
  demandPlan(application, planned)
  const { set, reason } = application
  if (kind === 'policies' && !isPoliciesAlone(set, planned))
    throw new BrokerError('request_invalid', 'policies take two humans here: apply them apart from the rest')
  const { secrets, ...rest } = set
  const shown = secrets.length === 0 ? {} : { secrets: secrets.map(one => shownOf(broker, one)) }
  const document = plain<Proposal>({ ...rest, ...shown, changes: planned.plan.changes })
  const held = secrets.length === 0 ? {} : { secret: new Secret(JSON.stringify(secrets)) }
  const answer = await broker.ledger.write(tx =>
    demandDualControl(broker, tx, operator, kind, { document, reason, ...held }),
  )
  if (answer !== 'apply') return answer.pending
  throw new BrokerError('request_invalid', `${kind} do not take two humans here: apply the plan`)
}

export function registryExecutor(broker: Broker, registry: LiveRegistry): ChangeExecutor {
  return {
    async apply(document, { operator, reason, secret }, decide) {
      // Written by proposePlan alone, and MACed since.
      const { changes, secrets: shown = [], ...proposed } = document as Proposal
      const set: WantedSet = { ...proposed, secrets: heldSecrets(broker, shown, secret) }
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

/** Whose resources a change speaks of, also those that it leaves as they are; null for the operator's own. */
export function namespacesOfChange({ document }: ChangeRow): readonly (string | null)[] {
  const { secrets = [], ...set } = JSON.parse(document) as Proposal
  return [...namespacesIn({ ...set, secrets })]
}

const isPoliciesAlone = ({ secrets }: WantedSet, { changes }: Planned) =>
  secrets.length === 0 && changes.every(({ resource }) => resource.kind === 'policy')

function shownOf(broker: Broker, secret: UploadedSecret): ShownSecret {
  const { kind, resource, name, value } = secret
  return { kind, resource, name, fingerprint: fingerprintOf(broker, secret, value) }
}

/** Sealed with the change, and those that it shows. @throws BrokerError `approval_over` where they are gone */
function heldSecrets(
  broker: Broker,
  shown: readonly ShownSecret[],
  secret: Secret | undefined,
): readonly UploadedSecret[] {
  // Written by proposePlan alone, and sealed for this change since.
  const held = secret === undefined ? [] : (JSON.parse(secret.reveal()) as UploadedSecret[])
  if (canonicalDigest(held.map(one => shownOf(broker, one))) === canonicalDigest(shown)) return held
  throw new BrokerError(
    'approval_over',
    'the secrets of this change are not there any more: propose it again',
  )
}

/** As it is after a way through JSON: without members that are undefined. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
