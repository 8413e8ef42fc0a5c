/** Tokens for git from the local credential server, which holds and refreshes them: `mayfly exec`, `mayfly agent`. */
import { Secret } from '../../issuers/shared/secret.ts'
import { connectSidecar, type Sidecar, type SidecarAddress, SidecarError } from '../sidecar/call.ts'
import { type GitTarget, isOfProvider, repositoryOfPath } from '../sidecar/git-repository.ts'
import type { LocalTask } from '../sidecar/protocol.ts'
import type { CredentialSource, GitAnswer } from './git-credential-source.ts'

/** Its methods throw SidecarError as the port says. */
export function sidecarSource(address: SidecarAddress): CredentialSource {
  const sidecar = connectSidecar(address)
  return {
    async get(target) {
      const { protocol, host, path } = target
      const git = { protocol, host, ...(path === undefined || path === '' ? {} : { path }) }
      try {
        const { secret, expires_at, provider_expires_at } = await sidecar.credential({ git })
        if (typeof secret !== 'string')
          return { kind: 'refused', message: 'the credential for this repository is not a token' }
        const expiresAt = Math.min(Date.parse(expires_at), Date.parse(provider_expires_at))
        return { kind: 'credential', token: new Secret(secret), expiresAt }
      } catch (error) {
        if (!(error instanceof SidecarError) || error.problem === undefined) throw error
        return whyNot(sidecar, target, error)
      }
    },
    /** A server that does not hold this very secret drops nothing, so every handle may be asked. */
    async rejected(target, sha256) {
      for (const { handle, kind } of asksFor(await sidecar.tasks(), target))
        if (kind === 'github' && (await sidecar.rejected({ handle, sha256 }))) return
    },
  }
}

/** A host that no task of now has an ask for was a task's, where one that has ended had one. */
async function whyNot(sidecar: Sidecar, target: GitTarget, error: SidecarError): Promise<GitAnswer> {
  const there = (await sidecar.tasks()).filter(task => asksFor([task], target).length > 0)
  if (error.code !== 'host_unmatched') return { kind: 'refused', message: tell(error, there, target) }
  const ended = there.findLast(({ state }) => state !== 'active')
  if (ended === undefined) return { kind: 'foreign' }
  const message = `task ${ended.id} has ended, and what it was given with it: open a new one, or start the command again`
  return { kind: 'refused', message }
}

function asksFor(tasks: readonly LocalTask[], target: GitTarget): LocalTask['asks'] {
  return tasks
    .flatMap(({ asks }) => asks)
    .filter(({ provider }) => provider !== undefined && isOfProvider(target, provider))
}

/** What was refused, by which decisions, and what to do; `there` are the tasks with an ask for this host. */
function tell(
  { code, message, problem }: SidecarError,
  there: readonly LocalTask[],
  { protocol, host, path = '' }: GitTarget,
): string {
  const repository = repositoryOfPath(path)
  const live = there.filter(({ state }) => state === 'active')
  switch (code) {
    case 'repository_unsaid':
      return `${message}. Switch it on with: git config --global credential.${protocol}://${host}.useHttpPath true`
    case 'ask_unmatched':
    case 'ask_contentless': {
      const decided = live.flatMap(({ decision }) => (decision === undefined ? [] : [`decision ${decision}`]))
      const tasks = live.map(({ id }) => id).join(', ')
      if (repository === undefined) return `${message}: expected a path like owner/name`
      return (
        `task ${tasks} may not have ${repository}${code === 'ask_contentless' ? ' with its contents' : ''}` +
        `${listed(decided)}. Ask for it, like github=${repository}:contents:read, or contents:write to push. ` +
        `Where that is denied, whoever answers for the agent ${live[0]?.agent ?? ''} must allow it`
      )
    }
  }
  const { decision, approvals = [] } = problem ?? {}
  const quoted = decision === undefined ? approvals : [`decision ${decision}`, ...approvals]
  return quoted.length === 0
    ? message
    : `${message}. Quote ${quoted.join(', ')} to whoever answers for the agent`
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? '' : ` (${words.join(', ')})`
}
