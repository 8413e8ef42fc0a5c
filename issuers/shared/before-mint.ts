import { ProviderUnavailable } from '../issuer.ts'

/**
 * Runs what has to be done before the provider is asked to mint (reading a key, looking something up).
 * @throws ProviderUnavailable with `nothingMinted`, whatever the step threw.
 */
export async function beforeMint<Value>(step: () => Promise<Value>): Promise<Value> {
  try {
    return await step()
  } catch (error) {
    const message = error instanceof Error ? error.message : 'failed before the mint'
    const retryAfterMs = error instanceof ProviderUnavailable ? error.retryAfterMs : undefined
    throw new ProviderUnavailable(message, { nothingMinted: true, retryAfterMs, cause: error })
  }
}
