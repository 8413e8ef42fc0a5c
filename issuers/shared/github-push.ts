/** GitHub's `push` webhook, as far as it tells that files changed. Source: GitHub Docs, "Webhook events and payloads". */
import { z } from 'zod'

/** `repository`: without its owner. */
export type GithubPush = { owner: string; repository: string }

const paths = z.array(z.string()).default([])
const pushEvent = z.object({
  ref: z.string(),
  forced: z.boolean().default(false),
  deleted: z.boolean().default(false),
  repository: z.object({ full_name: z.string(), default_branch: z.string() }),
  commits: z.array(z.object({ added: paths, removed: paths, modified: paths })).default([]),
})

/** GitHub names no more commits than this. */
const MOST_COMMITS = 2_048

/**
 * A verified push to the default branch that may have changed something below `folder`; undefined for every other. A
 * forced push does not name what it takes away.
 *
 * @throws z.ZodError where GitHub's payload is not of the known form
 */
export function readGithubPush(event: string, payload: unknown, folder: string): GithubPush | undefined {
  if (event !== 'push') return undefined
  const { ref, forced, deleted, repository, commits } = pushEvent.parse(payload)
  if (ref !== `refs/heads/${repository.default_branch}`) return undefined
  const isNamed = commits.some(({ added, removed, modified }) =>
    [...added, ...removed, ...modified].some(path => path.startsWith(folder)),
  )
  const isUntold = forced || deleted || commits.length === 0 || commits.length >= MOST_COMMITS
  if (!isNamed && !isUntold) return undefined
  const [owner = '', name = ''] = repository.full_name.split('/')
  return { owner, repository: name }
}
