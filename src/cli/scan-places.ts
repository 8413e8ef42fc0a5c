/** Where `mayfly scan` looks, and what it finds there. */
import { join, relative } from 'node:path'
import { readDiff } from '../scan/diff.ts'
import type { KnownSecrets } from '../scan/known-secrets.ts'
import { type SecretFinding, scanText } from '../scan/scan-text.ts'
import { type AccessKind, accessAdded, accessIn, accessInLines, isWorkflow } from '../scan/workflow-access.ts'
import { type ByteSources, GitFailed } from './byte-sources.ts'
import { CLI_LIMITS } from './limits.ts'
import { errorCode, type Terminal } from './terminal.ts'

export type Finding = { path: string; line: number } & (
  | Omit<SecretFinding, 'line'>
  | { kind: AccessKind; of: string }
)

/** `skipped`: what was not looked at, and why: there may be anything in it. */
export type Scanned = { findings: Finding[]; skipped: string[] }

export type Scan = { known: KnownSecrets; sources: ByteSources; env: Terminal['env'] }

const pieceBytes = 1_048_576
/** Longer than any secret in any of its spellings: nothing hides where a file was cut. */
const overlapBytes = 131_072

/** Files and folders, whole: everything in them counts as added. What is not `named` by anybody is no link that leads on. */
export async function scanPaths(
  scan: Scan,
  paths: readonly string[],
  { named = true }: { named?: boolean } = {},
): Promise<Scanned> {
  const scanned: Scanned = { findings: [], skipped: [] }
  let files = 0
  async function visit(path: string, isNamed: boolean): Promise<void> {
    try {
      const kind = await scan.sources.kind(path, isNamed)
      if (kind === 'folder')
        for (const name of await scan.sources.folder(path)) {
          if (name !== '.git') await visit(join(path, name), false)
        }
      if (kind !== 'file') return
      files += 1
      if (files > CLI_LIMITS.scannedFiles) throw new Error(`more than ${CLI_LIMITS.scannedFiles} files`)
      scanned.findings.push(...(await scanFile(scan, path, isNamed)))
    } catch (error) {
      if (scanned.skipped.length < CLI_LIMITS.scanSkipped)
        scanned.skipped.push(`${path} (${errorCode(error)})`)
    }
  }
  for (const path of paths) await visit(path, named)
  return scanned
}

async function scanFile({ known, sources }: Scan, path: string, isNamed: boolean): Promise<Finding[]> {
  const seen = new Map<string, Finding>()
  const keep = (all: readonly SecretFinding[]) => {
    for (const one of all) seen.set([one.line, one.kind, one.lease, one.part].join(' '), { path, ...one })
  }
  const whole: Uint8Array[] = []
  let held = Buffer.alloc(0)
  let line = 1
  let size = 0
  for await (const piece of sources.file(path, isNamed)) {
    size += piece.length
    if (size > CLI_LIMITS.scannedFileBytes)
      throw Object.assign(new Error('too long'), { code: `longer than ${CLI_LIMITS.scannedFileBytes} bytes` })
    if (isWorkflow(path)) whole.push(piece)
    held = Buffer.concat([held, piece])
    if (held.length < pieceBytes) continue
    keep(scanText(held, known, line))
    const done = held.subarray(0, held.length - overlapBytes)
    for (let at = done.indexOf(10); at !== -1; at = done.indexOf(10, at + 1)) line += 1
    held = Buffer.from(held.subarray(done.length))
  }
  keep(scanText(held, known, line))
  const access = accessIn(Buffer.concat(whole).toString('utf8')).map(one => ({ path, ...one }))
  return [...seen.values(), ...(isWorkflow(path) ? access : [])].sort((a, b) => a.line - b.line)
}

/** What a diff adds, from its text alone. */
export function scanDiff({ known }: Pick<Scan, 'known'>, diff: Buffer): Scanned {
  const findings = readDiff(diff.toString('latin1')).flatMap(({ path, added, removed }): Finding[] => {
    const secrets = secretsIn(known, path, added)
    if (!isWorkflow(path)) return secrets
    const gone = accessInLines(removed.map(text => ({ text, line: 0 })))
    return [...secrets, ...accessAdded(accessInLines(linesOf(added)), gone).map(one => ({ path, ...one }))]
  })
  return { findings, skipped: [] }
}

/** A text that is no diff: all of it. */
export function scanBytes({ known }: Pick<Scan, 'known'>, path: string, bytes: Buffer): Scanned {
  return { findings: scanText(bytes, known).map(one => ({ path, ...one })), skipped: [] }
}

/** `staged`: the index beside HEAD; otherwise the working tree beside `since`, or HEAD. */
export async function scanChanges(
  scan: Scan,
  repository: string,
  { staged = false, since }: { staged?: boolean; since?: string },
): Promise<Scanned> {
  const git = gitIn(scan, repository)
  const root = await rootOf(git)
  const base = since ?? (await git.maybe(HEAD))?.trim()
  const before = base === undefined || base === '' ? EMPTY_TREE : base
  const diff = await git.bytes([...DIFF, ...(staged ? ['--cached'] : []), '--end-of-options', before, '--'])
  const findings: Finding[] = []
  for (const { path, added } of readDiff(diff.toString('latin1'))) {
    findings.push(...secretsIn(scan.known, path, added))
    if (!isWorkflow(path) || added.length === 0) continue
    const now = staged ? await git.maybe(['show', `:${path}`]) : await textOf(scan, join(root, path))
    const then = await git.maybe(['show', `${before}:${path}`])
    const lines = new Set(linesOf(added).map(({ line }) => line))
    const stands = accessIn(now ?? '')
    const untouched = stands.filter(one => !lines.has(one.line))
    const gone = accessAdded(accessIn(then ?? ''), untouched)
    const fresh = stands.filter(one => lines.has(one.line))
    findings.push(...accessAdded(fresh, gone).map(one => ({ path, ...one })))
  }
  return { findings, skipped: [] }
}

/** Files that git neither tracks nor ignores, whole: the next `git add` takes them. */
export async function scanUntracked(scan: Scan, repository: string): Promise<Scanned> {
  const root = await rootOf(gitIn(scan, repository))
  const listed = await gitIn(scan, root).bytes(['ls-files', '--others', '--exclude-standard', '-z'])
  const paths = listed.toString().split('\0').filter(Boolean)
  const { findings, skipped } = await scanPaths(
    scan,
    paths.map(path => join(root, path)),
    { named: false },
  )
  return { findings: findings.map(one => ({ ...one, path: relative(root, one.path) })), skipped }
}

/** What commits added that are reached from `refs` and not from `before`, also where a later one took it away. */
export async function scanCommits(
  scan: Scan,
  repository: string,
  refs: readonly string[],
  before: readonly string[],
): Promise<Scanned> {
  const git = gitIn(scan, repository)
  const log = ['log', '-p', '--format=', '--diff-merges=first-parent', '--ignore-missing', ...DIFF.slice(1)]
  const isBorn = (await git.maybe(HEAD)) !== undefined
  const from = refs.filter(ref => ref !== 'HEAD' || isBorn)
  const diff = await git.bytes([...log, ...from, ...before.map(sha => `^${sha}`), '--'])
  const findings = readDiff(diff.toString('latin1')).flatMap(({ path, added }) =>
    secretsIn(scan.known, path, added),
  )
  return { findings, skipped: [] }
}

/** What git is asked for the commit of HEAD, which there may be none of. */
export const HEAD = ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'] as const
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
/** Whatever the user's own configuration says of diffs. */
const DIFF = ['diff', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames', '-U0', '-a'].concat(
  '--src-prefix=a/',
  '--dst-prefix=b/',
)

export function gitIn({ sources, env }: Pick<Scan, 'sources' | 'env'>, repository: string) {
  const options = { env, maxBytes: CLI_LIMITS.scannedDiffBytes }
  const bytes = (args: readonly string[]) =>
    sources.git(repository, ['-c', 'core.quotePath=true', ...args], options)
  return {
    bytes,
    /** Undefined where git knows of no such thing. */
    async maybe(args: readonly string[]): Promise<string | undefined> {
      try {
        return (await bytes(args)).toString()
      } catch (error) {
        if (error instanceof GitFailed) return undefined
        throw error
      }
    },
  }
}

/** @throws GitFailed where there is no repository */
const rootOf = async ({ bytes }: ReturnType<typeof gitIn>): Promise<string> =>
  (await bytes(['rev-parse', '--show-toplevel'])).toString().replace(/\n$/, '')

async function textOf({ sources }: Scan, path: string): Promise<string | undefined> {
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of sources.file(path, false)) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  } catch {
    return undefined
  }
}

type Added = ReturnType<typeof readDiff>[number]['added']

function secretsIn(known: KnownSecrets, path: string, added: Added): Finding[] {
  return added.flatMap(({ line, text }) =>
    scanText(Buffer.from(text, 'latin1'), known, line).map(one => ({ path, ...one })),
  )
}

function linesOf(added: Added): { text: string; line: number }[] {
  return added.flatMap(({ line, text }) =>
    text.split('\n').map((one, index) => ({ text: one, line: line + index })),
  )
}
