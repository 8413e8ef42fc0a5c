/**
 * `mayfly exec --scan`: before the task completes, what was added to the repository since the command began is looked
 * through for what the task was given. A finding fails the command. What was pushed is reported as leaked at once.
 */
import { z } from 'zod'
import { type ByteSources, GitFailed, hostSources } from './byte-sources.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { count, note } from './print.ts'
import { knownOf } from './scan-known.ts'
import { type Finding, gitIn, HEAD, type Scan, scanChanges, scanCommits } from './scan-places.ts'
import { toLines } from './scan-report.ts'
import type { HeldTask } from './task-file.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

export type ExecScan = {
  /** @returns whether the command may be called a success: nothing was found, and everything was looked at. */
  finish(held: HeldTask): Promise<boolean>
}

/** Notes where the repository stands. @throws CommandError (usage) where there is none */
export async function beginScan(
  terminal: Terminal,
  repository = '.',
  sources: ByteSources = hostSources,
): Promise<ExecScan> {
  const bare = { sources, env: terminal.env }
  const git = gitIn(bare, repository)
  if ((await git.maybe(['rev-parse', '--show-toplevel'])) === undefined)
    throw usageError('--scan looks at what git says was added: start this in a git repository')
  const head = (await git.maybe(HEAD))?.trim()
  const refs = (await git.maybe(['for-each-ref', '--format=%(objectname)'])) ?? ''
  const known = new Set([head ?? '', ...refs.split('\n')].filter(sha => /^[0-9a-f]{40,64}$/.test(sha)))
  const before = [...known].slice(0, CLI_LIMITS.scannedRefs)
  return {
    async finish(held) {
      try {
        const scan = { ...bare, known: await knownOf(terminal, held) }
        return await judge(terminal, scan, held, { repository, head, before })
      } catch (error) {
        if (!(error instanceof GitFailed) && !(error instanceof CommandError)) throw error
        note(
          terminal,
          `scan: it could not be looked at what was added, so it counts as failed: ${error.message}`,
        )
        return false
      }
    },
  }
}

type Stood = { repository: string; head: string | undefined; before: readonly string[] }

async function judge(
  terminal: Terminal,
  scan: Scan,
  held: HeldTask,
  { repository, head, before }: Stood,
): Promise<boolean> {
  const tree = await scanChanges(scan, repository, head === undefined ? {} : { since: head })
  const made = certain(await scanCommits(scan, repository, ['HEAD', '--branches', '--tags'], before))
  const pushed = certain(await scanCommits(scan, repository, ['--remotes'], before))
  const inTree = new Set(tree.findings.map(keyOf))
  const gone = [...made, ...pushed].filter(one => !inTree.has(keyOf(one)))
  const findings = [...tree.findings, ...new Map(gone.map(one => [keyOf(one), one])).values()]
  if (findings.length === 0) return true
  terminal.err(toLines(findings))
  note(terminal, `scan: ${count(findings.length, 'finding')} in what was added since the command began`)
  if (pushed.length > 0) {
    note(terminal, 'scan: it was pushed, and is reported as leaked: the task ends now')
    await report(terminal, held, pushed)
  } else if (made.length > 0)
    note(
      terminal,
      'scan: it is in a commit: take it out of the history (git commit --amend, git rebase) before a push',
    )
  return false
}

/** By the task's own token, which is the proof; of each credential once. */
async function report(terminal: Terminal, held: HeldTask, pushed: readonly Finding[]): Promise<void> {
  const client = createClient(terminal, held.broker)
  const leases = new Set(
    pushed.flatMap(one => ('lease' in one && one.lease !== undefined ? [one.lease] : [])),
  )
  for (const lease of leases) {
    const body = {
      ...{ token: held.token.reveal(), reason: 'pushed by the command of mayfly exec' },
      ...(lease === held.id ? {} : { lease }),
    }
    await client.call({ method: 'POST', path: '/v1/leaks/found', body, whenLost: 'repeat' }, answer)
  }
}

const answer = z.looseObject({ reported: z.literal(true) })

/** Commits bring what others wrote: only what is this task's for certain is held against the command. */
const certain = ({ findings }: { findings: readonly Finding[] }): Finding[] =>
  findings.filter(one => 'certainty' in one && one.certainty === 'certain')

const keyOf = (one: Finding): string =>
  [one.path, one.kind, 'lease' in one ? one.lease : '', 'part' in one ? one.part : ''].join(' ')
