import { type Issuer, ProviderUnavailable } from '../../../issuers/issuer.ts'
import type { Bounds } from '../../policy/judge-ask.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { issuerOf } from './lease-plan.ts'
import { providerRefused } from './provider-refused.ts'
import { mintOwn } from './system-lease.ts'

/** An ask as it came: the issuer's configured name, and the rest of the `authorization_details` entry. */
export type WantedAsk = { issuer: string; ask: Readonly<Record<string, unknown>> }
export type ParsedAsk = { issuerName: string; issuer: Issuer; ask: unknown }

/**
 * Parses each ask by its issuer's strict schema and turns names into ids. Nothing is asked of a provider that
 * the bounds could not allow whatever it answered: nobody learns what exists beyond their ceiling, and a
 * stranger cannot make the broker talk to GitHub. Look-ups count against the agent that causes them.
 *
 * @throws BrokerError `ask_invalid`, `budget_exhausted`, `provider_refused`, `provider_unavailable`.
 */
export async function resolveAsks(
  broker: Broker,
  wanted: readonly WantedAsk[],
  { bounds, agent }: { bounds: Bounds; agent: string },
): Promise<ParsedAsk[]> {
  const resolved: ParsedAsk[] = []
  for (const one of parseAsks(broker, wanted))
    resolved.push(couldAllow(one, bounds) ? await resolveAsk(broker, one, agent) : one)
  return resolved
}

/** Each by its issuer's strict schema. @throws BrokerError `ask_invalid` */
export function parseAsks(broker: Broker, wanted: readonly WantedAsk[]): ParsedAsk[] {
  return wanted.map(({ issuer: issuerName, ask }, index) => {
    const issuer = issuerOf(broker, issuerName)
    const result = issuer.ask.safeParse(ask)
    if (result.success) return { issuerName, issuer, ask: result.data }
    const problems = result.error.issues.map(
      issue => `${issue.path.join('.') || 'the ask'}: ${issue.message}`,
    )
    throw new BrokerError('ask_invalid', `authorization_details[${index}]: ${problems.join('; ')}`)
  })
}

/** Whether each bound has an allowance that could cover the ask once its names are ids. */
function couldAllow({ issuerName, issuer, ask }: ParsedAsk, bounds: Bounds): boolean {
  const could = issuer.couldCover ?? issuer.covers
  return bounds.every(bound =>
    bound.allows.some(allowance => allowance.issuer === issuerName && could(allowance.ask, ask)),
  )
}

async function resolveAsk(broker: Broker, parsed: ParsedAsk, agent: string): Promise<ParsedAsk> {
  const { issuer, issuerName } = parsed
  if (issuer.resolve === undefined) return parsed
  try {
    const outcome = await issuer.resolve(parsed.ask, ask => mintOwn(broker, issuerName, ask, agent))
    if (outcome.ok) return { ...parsed, ask: outcome.ask }
    throw providerRefused(broker, issuerName, outcome)
  } catch (error) {
    if (!(error instanceof ProviderUnavailable)) throw error
    throw new BrokerError('provider_unavailable', `${issuerName} did not answer; try again`, {
      cause: error,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    })
  }
}
