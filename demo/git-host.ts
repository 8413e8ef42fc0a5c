/** GitHub's git over HTTP, for the repositories of the demo's GitHub, where this machine has a git that can serve. */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type GitServer, startGitServer } from '../test/fakes/git-server/git-server.ts'
import type { Installation } from '../test/fakes/installation.ts'

/** Some systems have it in a package of its own. */
export async function canServeGit(): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('git', ['--exec-path'])
    await access(join(stdout.trim(), 'git-http-backend'))
    return true
  } catch {
    return false
  }
}

export function startGitHost({ github }: Pick<Installation, 'github'>): Promise<GitServer> {
  const repositories = [
    { id: 1, name: 'acme/api' },
    { id: 2, name: 'acme/web' },
  ]
  return startGitServer({ github, repositories })
}

/** What git is told by its environment: who commits, and nothing of the machine's own configuration. */
export const GIT_ENVIRONMENT = {
  ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0' },
  ...{ GIT_AUTHOR_NAME: 'nightly', GIT_AUTHOR_EMAIL: 'nightly@acme.test' },
  ...{ GIT_COMMITTER_NAME: 'nightly', GIT_COMMITTER_EMAIL: 'nightly@acme.test' },
}
