/** A plan, applied whole or not at all, and only to the generation that it was made against. */
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { ChangeKind } from '../broker/people/dual-control.ts'
import { actorOf, type Operator } from '../broker/people/operators.ts'
import { canonicalDigest } from '../canonical.ts'
import { ConfigError } from '../config.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import { afterwards, commit, type ResourceChange } from './commit.ts'
import { invalid } from './documents.ts'
import type { Planned } from './plan.ts'
import { preparePolicies } from './policies.ts'
import type { LiveRegistry } from './registry.ts'
import { type Document, keyOf } from './resource.ts'
import { sealSecret } from './secrets.ts'
import type { RegistryState } from './state.ts'
import type { WantedSet } from './wanted.ts'

export type Application = {
  set: WantedSet
  reason: string
  /** The plan that was looked at. */
  plan: { generation: number; digest: string }
}

export type Applied = {
  application: Application
  planned: Planned
  /** Of a change that takes two: the second human's word, in the transaction that it allows. */
  agreed?: (tx: LedgerWrite) => Promise<void>
}

/** @throws BrokerError `registry_moved` where it is not what `planned` says any more */
export function demandPlan({ plan }: Application, { plan: planned }: Planned): void {
  if (plan.generation === planned.generation && plan.digest === planned.digest) return
  throw new BrokerError(
    'registry_moved',
    `the plan is not what would be applied now (generation ${planned.generation}): make a new plan and look at it`,
  )
}

/**
 * @returns the generation in force; the one of the plan where nothing had to change.
 * @throws BrokerError `registry_moved`, `resource_in_use`, `forbidden`
 */
export async function applyPlan(
  broker: Broker,
  registry: LiveRegistry,
  operator: Operator,
  { application, planned, agreed }: Applied,
): Promise<number> {
  demandPlan(application, planned)
  const { changes, state, plan } = planned
  if (changes.length === 0) return plan.generation
  if (agreed === undefined) refuseWhatTakesTwo(broker, application, planned)
  await demandPolicies(registry, planned)
  const { reason, set } = application
  const used = new Set(
    changes.flatMap(({ state: becomes, resource }) =>
      becomes === 'removed' ? [] : [`${resource.kind}/${resource.name}`],
    ),
  )
  const done = await commit(
    broker,
    state,
    {
      ...{ changes, managedBy: 'api', actor: actorOf(operator), reason },
      secrets: set.secrets
        .filter(({ kind, resource }) => used.has(`${kind}/${resource}`))
        .map(secret => sealSecret(broker, secret, secret.value, 0)),
      async check(tx) {
        await agreed?.(tx)
        await demandFree(tx, planned)
      },
      audit: { event: 'registry.applied', data: { plan: plan.digest, namespaces: plan.namespaces } },
    },
    registry.options.settings,
  )
  if (done === undefined)
    throw new BrokerError(
      'registry_moved',
      'something else was registered meanwhile: make a new plan and look at it',
    )
  // It is in force from the commit on. Should this broker fail here, it is installed by whoever looks next.
  await registry
    .follow()
    .catch(error => broker.log.warn({ err: error }, 'it is registered, and to be installed'))
  return done.generation
}

/** All of them together must be a set that every broker loads. @throws BrokerError `registry_invalid` */
async function demandPolicies({ options }: LiveRegistry, { changes, state }: Planned): Promise<void> {
  if (changes.every(({ resource }) => resource.kind !== 'policy')) return
  try {
    const prepared = await preparePolicies(options.policies, options.settings, afterwards(state, changes))
    await prepared.discard()
  } catch (error) {
    throw error instanceof ConfigError ? invalid(error.problems) : error
  }
}

/**
 * An issuer ends what it minted. So one is not taken away, nor given other settings, while any of that is open;
 * new secrets, words and owners are let through. Whoever mints by it is waited for before.
 */
async function demandFree(tx: LedgerWrite, { changes, state }: Planned): Promise<void> {
  for (const { state: becomes, resource } of changes) {
    if (resource.kind !== 'issuer') continue
    const row = state.rows.get(`issuer/${resource.name}`)
    if (row === undefined || (becomes === 'registered' && isSameInstance(row.document, resource.document)))
      continue
    if (!(await tx.hasOutstanding(resource.name))) continue
    throw new BrokerError(
      'resource_in_use',
      `credentials of ${resource.name} are still open, and only it can end them: first run ` +
        `mayfly revoke --issuer ${resource.name} --hold --reason ..., and apply this when none is left`,
    )
  }
}

function isSameInstance(before: string, after: Document): boolean {
  const { type, settings } = JSON.parse(before) as Document
  return (
    canonicalDigest({ type, settings }) === canonicalDigest({ type: after.type, settings: after.settings })
  )
}

/** What kind of change this is, where it takes two humans: it is then proposed and agreed to elsewhere. */
export function takesTwo(
  { people: { dualControl } }: Broker,
  { set }: Application,
  { changes, state }: Planned,
): ChangeKind | undefined {
  if (dualControl.policies && changes.some(({ resource }) => resource.kind === 'policy')) return 'policies'
  if (!dualControl.keys) return undefined
  const isUploaded = set.secrets.length > 0 && changes.length > 0
  return isUploaded || changes.some(change => usesSecretElsewhere(state, change)) ? 'keys' : undefined
}

/**
 * Where a secret is sent, and as what, is said by the settings of its instance. One that is removed sends nothing, and
 * its secrets go with it.
 */
function usesSecretElsewhere({ rows }: RegistryState, { state: becomes, resource }: ResourceChange): boolean {
  if (becomes === 'removed' || (resource.kind !== 'issuer' && resource.kind !== 'attestor')) return false
  const row = rows.get(keyOf(resource))
  if (row === undefined || (JSON.parse(row.document) as Document).secrets === undefined) return false
  return !isSameInstance(row.document, resource.document)
}

/** @throws BrokerError `forbidden` */
function refuseWhatTakesTwo(broker: Broker, application: Application, planned: Planned): void {
  const kind = takesTwo(broker, application, planned)
  if (kind === undefined) return
  throw new BrokerError('forbidden', `${kind} take two humans here (operators.dual_control): propose them`)
}
