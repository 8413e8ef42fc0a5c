/**
 * Trust policies as they are in repositories, read with a lease of the broker's own and remembered for minutes: that
 * there is none, too. A push to where they stand is noted in the ledger, and every broker reads again.
 */
import type { FoundFile } from '../../issuers/shared/files.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { ProviderRefused } from '../broker/credentials/provider-refused.ts'
import { withOwnLease } from '../broker/credentials/system-lease.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'

/** `issuer`: the configured one whose App reads it. */
export type FilePlace = { issuer: string; owner: string; repository: string; path: string }

export type PolicyFile =
  | { state: 'found'; file: FoundFile }
  | { state: 'missing' }
  /** The App does not reach the repository, or there is no such one: GitHub does not tell. */
  | { state: 'out_of_reach' }

export type PolicyFiles = {
  /**
   * @param admit asked before the provider is; throws where the caller has had its share
   * @throws BrokerError `rate_limited`, `provider_unavailable`, and what `admit` throws
   */
  read(broker: Broker, place: FilePlace, admit: () => void): Promise<PolicyFile>
  /** What is remembered of this repository counts no more, in no broker. */
  forget(broker: Broker, owner: string, repository: string): Promise<void>
}

/** `from`: the ledger's time before it was read. `at`: this process's. */
type Kept = { file: PolicyFile; from: number; at: number }

export function createPolicyFiles({ limits, now }: Pick<Broker, 'limits' | 'now'>): PolicyFiles {
  const kept = new Map<string, Kept>()
  const reading = new Map<string, { from: number; file: Promise<PolicyFile> }>()
  /** By owner: epoch ms until which the provider's limit is better left to others. */
  const held = new Map<string, number>()

  function isFresh({ file, at }: Kept, owner: string): boolean {
    const age = now() - at
    const keepMs = file.state === 'found' ? limits.trustFileMs : limits.trustFileMissingMs
    // While little is left of the limit a file is kept longer; a push is heard of all the same.
    return age < keepMs || (file.state === 'found' && now() < (held.get(owner) ?? 0) && age < keepMs * 4)
  }

  function keep(key: string, one: Kept): void {
    kept.delete(key)
    kept.set(key, one)
    if (kept.size > limits.trustFiles) kept.delete(kept.keys().next().value!)
  }

  async function fetchFile(broker: Broker, place: FilePlace): Promise<PolicyFile> {
    const { owner, repository, path } = place
    const reader = broker.issuers.get(place.issuer)?.files
    if (reader === undefined)
      throw new BrokerError('provider_unavailable', `${place.issuer} reads no files of repositories`)
    try {
      const ask = reader.ask(`${owner}/${repository}`)
      const why = 'read a trust policy'
      return await withFreshConfiguration(broker, within =>
        withOwnLease(within, place.issuer, ask, why, async ({ granted, secret, lease }) => {
          const credential = { secret, lease, maxBytes: limits.trustPolicyChars }
          const { seen, holdUntil } = await reader.read(granted, path, credential)
          if (holdUntil !== undefined) held.set(owner.toLowerCase(), holdUntil)
          return seen === undefined ? { state: 'missing' } : { state: 'found', file: seen }
        }),
      )
    } catch (error) {
      if (error instanceof ProviderRefused) return refused(error)
      if (error instanceof BrokerError) throw error
      throw unread(error)
    }
  }

  return {
    async read(broker, place, admit) {
      const { owner, repository, path, issuer } = place
      const key = [issuer, owner.toLowerCase(), repository.toLowerCase(), path].join('\n')
      const from = await broker.ledger.now()
      const before = kept.get(key)
      if (before !== undefined && isFresh(before, owner.toLowerCase())) {
        const pushed = Number((await broker.ledger.read.meta(noteOf(owner, repository))) ?? 0)
        if (before.from > pushed) return before.file
      }
      admit()
      const under = reading.get(key) ?? { from, file: fetchFile(broker, place) }
      reading.set(key, under)
      try {
        const file = await under.file
        keep(key, { file, from: under.from, at: now() })
        return file
      } finally {
        if (reading.get(key) === under) reading.delete(key)
      }
    },
    async forget(broker, owner, repository) {
      for (const key of reading.keys())
        if (key.includes(`\n${owner.toLowerCase()}\n${repository.toLowerCase()}\n`)) reading.delete(key)
      await broker.ledger.write(tx => tx.setMeta(noteOf(owner, repository), String(tx.now)))
    },
  }
}

const noteOf = (owner: string, repository: string) =>
  `octo_sts_pushed/${owner.toLowerCase()}/${repository.toLowerCase()}`

/** GitHub does not know the repository, or does not let the App in; where it is the App itself, nothing is known. */
function refused(error: ProviderRefused): PolicyFile {
  const { reason, ofTheBroker } = error.refused
  if (ofTheBroker) throw unread(error)
  if (reason !== 'rate_limited') return { state: 'out_of_reach' }
  const { message, retryAfterMs } = error
  const options = { cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  throw new BrokerError('rate_limited', message, options)
}

const unread = (cause: unknown) =>
  new BrokerError('provider_unavailable', 'the trust policy could not be read', { cause })
