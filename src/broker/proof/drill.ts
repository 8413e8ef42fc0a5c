/**
 * One drill: a canary credential of least scope is minted, seen to work, revoked the way every credential is
 * (its task ends, the reaper does the rest), and seen dead from where its users stand. What it took is evidence.
 */
import { type Issuer, observed } from '../../../issuers/issuer.ts'
import type { DrillRow, LeaseRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { Credential } from '../credentials/issue-credential.ts'
import { issuerOf } from '../credentials/lease-plan.ts'
import { ProviderRefused, providerRefused } from '../credentials/provider-refused.ts'
import { withOwnLease } from '../credentials/system-lease.ts'
import { liveCredential } from '../tasks/introspect.ts'
import { withFreshConfiguration } from '../with-fresh-configuration.ts'

export type DrillSettings = {
  /** What the canary may do: the least there is. As the issuer's schema parsed it. */
  ask: Readonly<Record<string, unknown>>
  /** A resource server's URL that takes the canary as bearer: 2xx while it lives, 401 when it is dead. */
  through?: string
  daily: boolean
}

export type DrillOutcome = {
  state: 'passed' | 'failed' | 'unprovable'
} & Pick<DrillRow, 'task' | 'lease' | 'proof' | 'mint_ms' | 'revoke_ms' | 'dead_ms' | 'detail'>

export type DrillSurroundings = {
  fetch: typeof globalThis.fetch
  /** Rejects when the broker stops. */
  sleep: (ms: number) => Promise<void>
}

/** Never throws for what the drill is about: whatever goes wrong is its outcome. */
export async function runDrill(
  broker: Broker,
  { issuer: name, deadline }: Pick<DrillRow, 'issuer' | 'deadline'>,
  settings: DrillSettings,
  around: DrillSurroundings,
): Promise<DrillOutcome> {
  const outcome: DrillOutcome = {
    ...{ state: 'failed', task: null, lease: null, proof: settings.through ?? 'provider', detail: null },
    ...{ mint_ms: null, revoke_ms: null, dead_ms: null },
  }
  try {
    // 1. Mint, and see that it works: a credential that never worked proves nothing by being refused.
    const issuer = issuerOf(broker, name)
    const { credential, alive } = await withFreshConfiguration(broker, async within => {
      const wanted = await resolveNames(within, issuer, name, settings.ask)
      const began = broker.now()
      return withOwnLease(within, name, wanted, `drill of ${name}`, async own => {
        outcome.mint_ms = since(broker, began)
        outcome.lease = own.lease
        if (own.revocability === 'introspected' && settings.through === undefined)
          outcome.proof = 'introspection'
        return { credential: own, alive: await look(broker, issuer, own, settings, around) }
      })
    })

    // 2. Its task has ended. What nobody can end early ends by itself, and that is all there is to say.
    if (credential.revocability === 'expiry_only') return unprovable(outcome, credential)
    const lease = await closed(broker, credential.lease, deadline, around)
    outcome.task = lease?.task ?? null
    if (lease === undefined) return { ...outcome, detail: 'it was not closed before the drill was over' }
    const task = await broker.ledger.read.task(lease.task)
    const endedAt = task?.ended_at ?? broker.now()
    outcome.revoke_ms = lease.revoked_at === null ? null : Math.max(0, Math.ceil(lease.revoked_at - endedAt))

    // 3. Judge what was seen, from outside.
    const after = await lookAgain(broker, issuer, credential, lease, settings, around)
    if (alive !== 'alive') return { ...outcome, detail: `fresh, it was ${alive} and not alive` }
    if (after.sight !== 'dead') return { ...outcome, detail: `revoked, it was ${after.sight} and not dead` }
    if (after.at >= credential.providerExpiresAt)
      return { ...outcome, detail: 'it was seen dead only when it had expired by itself' }
    outcome.dead_ms = Math.max(0, Math.ceil(after.at - endedAt))
    if (lease.closed_as !== 'revoked' && lease.closed_as !== 'already_gone')
      return { ...outcome, detail: `it was closed as ${lease.closed_as}` }
    return { ...outcome, state: 'passed' }
  } catch (error) {
    if (error instanceof DrillStopped)
      return { ...outcome, state: 'unprovable', detail: 'the broker was stopped before the drill was over' }
    broker.log.warn({ issuer: name, err: error }, 'a drill could not go on')
    const said = error instanceof ProviderRefused ? error.refused.detail : undefined
    const detail =
      error instanceof BrokerError ? `${error.code}: ${said ?? error.message}` : 'see the log of the broker'
    return { ...outcome, detail: detail.slice(0, broker.limits.detailChars) }
  }
}

/** The broker stops; what was minted is revoked by whoever runs next. */
export class DrillStopped extends Error {
  override name = 'DrillStopped'
}

/** Names to ids, with a lease of its own where the provider must be asked. The schema was held to it at load. */
async function resolveNames(broker: Broker, issuer: Issuer, name: string, ask: unknown): Promise<unknown> {
  const parsed = issuer.ask.parse(ask)
  if (issuer.resolve === undefined) return parsed
  const outcome = await issuer.resolve(parsed, wanted =>
    withOwnLease(broker, name, wanted, `resolve names at ${name}`, async own => {
      const { secret, granted, providerExpiresAt, details } = own
      return { ok: true, secret, granted, providerExpiresAt, details }
    }),
  )
  if (!outcome.ok) throw providerRefused(broker, name, outcome)
  return outcome.ask
}

type Sight = 'alive' | 'dead' | 'unknown'

async function look(
  broker: Broker,
  issuer: Issuer,
  credential: Credential,
  { through }: DrillSettings,
  { fetch }: DrillSurroundings,
): Promise<Sight> {
  if (through !== undefined) return lookThrough(through, credential, fetch)
  // As a resource server is answered that introspects it.
  if (credential.revocability === 'introspected')
    return (await liveCredential(broker, credential.secret.reveal())) === undefined ? 'dead' : 'alive'
  const { lease, granted: ask, secret, providerExpiresAt } = credential
  return observed(await issuer.probe({ lease, ask, secret, providerExpiresAt })).proof
}

async function lookThrough(
  url: string,
  credential: Credential,
  fetch: typeof globalThis.fetch,
): Promise<Sight> {
  if (credential.format !== 'token') return 'unknown'
  const response = await fetch(url, { headers: { authorization: `Bearer ${credential.secret.reveal()}` } })
  if (response.ok) return 'alive'
  // 403 is what limits and firewalls answer, too: it says nothing of the token (RFC 6750, section 3.1).
  return response.status === 401 ? 'dead' : 'unknown'
}

/** A revocation that spreads was watched by the reaper, under the session itself, for as long as it took. */
async function lookAgain(
  broker: Broker,
  issuer: Issuer,
  credential: Credential,
  lease: LeaseRow,
  settings: DrillSettings,
  around: DrillSurroundings,
): Promise<{ sight: Sight; at: number }> {
  if (
    lease.revocability === 'propagating' &&
    settings.through === undefined &&
    lease.confirmed_dead_at !== null
  )
    return { sight: 'dead', at: lease.confirmed_dead_at }
  const sight = await look(broker, issuer, credential, settings, around)
  return { sight, at: await broker.ledger.now() }
}

async function closed(
  broker: Broker,
  id: string,
  deadline: number,
  { sleep }: DrillSurroundings,
): Promise<LeaseRow | undefined> {
  for (;;) {
    const lease = await broker.ledger.read.lease(id)
    if (lease === undefined || lease.state === 'closed') return lease
    if ((await broker.ledger.now()) >= deadline) return undefined
    await sleep(broker.limits.drillPollMs)
  }
}

function unprovable(outcome: DrillOutcome, credential: Credential): DrillOutcome {
  const at = new Date(credential.providerExpiresAt).toISOString()
  const detail = `nobody can end it before it expires at ${at}; until then nothing can be proven`
  return { ...outcome, state: 'unprovable', detail }
}

function since(broker: Broker, began: number): number {
  return Math.max(0, Math.ceil(broker.now() - began))
}
