import { looksLikeDiff } from '../scan/diff.ts'
import { type ByteSources, GitFailed, hostSources } from './byte-sources.ts'
import { CLI_LIMITS } from './limits.ts'
import { count, note, printJson } from './print.ts'
import { heldTask, knownOf } from './scan-known.ts'
import {
  type Scan,
  type Scanned,
  scanBytes,
  scanChanges,
  scanDiff,
  scanPaths,
  scanUntracked,
} from './scan-places.ts'
import { toLines, toSarif } from './scan-report.ts'
import type { TaskFileOption } from './task-file.ts'
import { CommandError, errorCode, type Terminal, usageError } from './terminal.ts'

export type ScanOptions = TaskFileOption & {
  task?: string
  /** A commit to compare the working tree with; true where none is named. */
  diff?: string | true
  staged?: boolean
  repository?: string
  json?: boolean
}

/** Of `mayfly scan` alone: clean, found something, or could not look. */
const SCAN_EXIT = { clean: 0, found: 1, failed: 2 } as const

/**
 * `mayfly scan`: looks for the credentials of this task in a diff, in files or in standard input, and for broad access
 * that is added to workflow files. What could not be looked at is told, and is not clean.
 */
export async function scan(
  terminal: Terminal,
  paths: readonly string[],
  options: ScanOptions,
  sources: ByteSources = hostSources,
): Promise<void> {
  try {
    const held = await heldTask(terminal, options)
    if (held === undefined)
      note(terminal, 'no task is named: what has the form of a token is found, and no credential by its hash')
    const known = await knownOf(terminal, held)
    const { findings, skipped } = await look(terminal, { known, sources, env: terminal.env }, paths, options)
    if (options.json) printJson(terminal, toSarif(findings))
    else terminal.out(toLines(findings))
    for (const one of skipped) note(terminal, `not looked at: ${one}`)
    if (findings.length > 0) note(terminal, `${count(findings.length, 'finding')}`)
    terminal.exitWith(
      findings.length > 0 ? SCAN_EXIT.found : skipped.length > 0 ? SCAN_EXIT.failed : SCAN_EXIT.clean,
    )
  } catch (error) {
    if (error instanceof GitFailed) throw new CommandError(error.message, { exitCode: SCAN_EXIT.failed })
    if (!(error instanceof CommandError)) throw error
    throw new CommandError(error.message, { exitCode: SCAN_EXIT.failed, cause: error })
  }
}

async function look(
  terminal: Terminal,
  scan: Scan,
  paths: readonly string[],
  { diff, staged = false, repository = '.' }: ScanOptions,
): Promise<Scanned> {
  const ways = [diff !== undefined, staged, paths.length > 0].filter(Boolean).length
  if (ways > 1) throw usageError('look at one thing: --diff, --staged, or paths')
  if (paths.includes('-')) {
    if (paths.length > 1) throw usageError('- is standard input, and stands alone')
    const text = await terminal.readStdin(CLI_LIMITS.scannedDiffBytes).catch((cause: unknown) => {
      throw new CommandError(`standard input cannot be read (${errorCode(cause)})`, { cause })
    })
    return looksLikeDiff(text) ? scanDiff(scan, Buffer.from(text)) : scanBytes(scan, '-', Buffer.from(text))
  }
  if (paths.length > 0) return scanPaths(scan, paths)
  if (typeof diff === 'string' && diff.startsWith('-'))
    throw usageError('--diff takes a commit to compare with')
  if (staged) return scanChanges(scan, repository, { staged })
  const changed = await scanChanges(scan, repository, typeof diff === 'string' ? { since: diff } : {})
  const fresh = await scanUntracked(scan, repository)
  return {
    findings: [...changed.findings, ...fresh.findings],
    skipped: [...changed.skipped, ...fresh.skipped],
  }
}
