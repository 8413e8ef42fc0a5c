/** How the CI work that a task belongs to is named in the ledger. */
import type { Work } from '../../../attestors/attestor.ts'
import type { RunAttempt } from '../../../issuers/shared/work.ts'

/** Names one attempt of one run, whoever speaks of it: `github.com/<repository>/<run>/<attempt>`. */
export function runKey({ provider, repository, run, attempt }: Pick<Work, 'provider'> & RunAttempt): string {
  return [provider, repository, run, attempt].map(encodeURIComponent).join('/')
}

/** In the ledger a whole run is the job without a name; evidence that names no job ends with its run. */
export const WHOLE_RUN = ''
