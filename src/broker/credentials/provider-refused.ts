import type { Refused } from '../../../issuers/issuer.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

/** What the caller is told. The provider's own sentence may name the broker's accounts, and what others have there. */
const SENTENCES: Readonly<Record<Refused['reason'], string>> = {
  not_permitted: 'the provider does not permit this',
  not_found: 'the provider does not know what was asked for',
  rejected: 'the provider does not accept this',
  rate_limited: 'the provider limits the rate of calls; try again later',
}

/**
 * The provider said no, and nothing exists. In full it is for the log, the ledger and operators. That it wants to be
 * asked less often is no judgement of what was asked: that is told as an outage, which passes.
 */
export class ProviderRefused extends BrokerError {
  readonly refused: Refused
  constructor(refused: Refused, limits: Pick<Broker['limits'], 'providerRetryAfterMs'>) {
    const passes = refused.reason === 'rate_limited'
    const retryAfterMs = refused.retryAfterMs ?? (passes ? limits.providerRetryAfterMs : undefined)
    super(passes ? 'provider_unavailable' : 'provider_refused', SENTENCES[refused.reason], {
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
    this.refused = refused
  }
}

/** The same, told in the log. */
export function providerRefused(
  { log, limits }: Pick<Broker, 'log' | 'limits'>,
  issuer: string,
  refused: Refused,
): BrokerError {
  const { reason, detail } = refused
  log.info({ issuer, reason, detail }, 'the provider refused')
  return new ProviderRefused(refused, limits)
}
