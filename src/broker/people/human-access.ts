/**
 * Effective rights are the intersection: what is asked on behalf of a human must be allowed to that human at the
 * provider, too, where the provider can say. Asked anew in every request, and remembered within one.
 */
import { type HumanAccess, ProviderUnavailable } from '../../../issuers/issuer.ts'
import { canonicalDigest } from '../../canonical.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { providerRefused } from '../credentials/provider-refused.ts'
import { lendOwn } from '../credentials/system-lease.ts'
import type { Judged, JudgedAsk } from '../decisions/judged.ts'

/**
 * @returns undefined where there is no human, or nobody to ask about them
 * @throws BrokerError `provider_unavailable`, `provider_refused`: what cannot be asked is no allow
 */
export async function humanAccess(
  broker: Broker,
  { human, agent, supposed }: Judged,
  asked: JudgedAsk,
): Promise<HumanAccess | undefined> {
  if (human === undefined || supposed === true || asked.issuer.allows === undefined) return undefined
  const { issuer, subject, accounts } = human
  const known = { issuer, subject, accounts }
  const key = canonicalDigest({ human: known, issuer: asked.issuerName, ask: asked.ask })
  const remembered = broker.humanAccess?.get(key)
  if (remembered !== undefined) return remembered
  const answer = askProvider(broker, known, agent, asked)
  broker.humanAccess?.set(key, answer)
  return answer
}

async function askProvider(
  broker: Broker,
  human: Parameters<NonNullable<JudgedAsk['issuer']['allows']>>[0],
  agent: string,
  { issuerName, issuer, ask }: JudgedAsk,
): Promise<HumanAccess> {
  try {
    const answer = await issuer.allows!(human, ask, (own, use) =>
      lendOwn(broker, issuerName, own, agent, use),
    )
    if (answer.ok) return answer
    throw providerRefused(broker, issuerName, answer)
  } catch (error) {
    if (!(error instanceof ProviderUnavailable)) throw error
    throw new BrokerError('provider_unavailable', `${issuerName} did not say what the human may; try again`, {
      cause: error,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    })
  }
}
