/**
 * Broad access in GitHub's workflow files: what lets more in than the job at hand. Source: GitHub Docs, "Workflow
 * syntax" (permissions, secrets, uses, on) and "Security hardening for GitHub Actions".
 */
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments } from 'yaml'

export type AccessKind =
  | 'write-all'
  | 'id-token'
  | 'secrets-inherit'
  | 'pull_request_target'
  | 'unpinned-uses'

export type Access = {
  kind: AccessKind
  /** Of what: an action, without its version. Empty for the rest. */
  of: string
  line: number
}

/** Longer files are no workflows: GitHub takes none above this. */
const LONGEST = 512 * 1024
const DEEPEST = 24

export function isWorkflow(path: string): boolean {
  return /(?:^|\/)(?:\.github\/workflows\/[^/]+|action)\.ya?ml$/.test(path)
}

/** In the order of the file. A file that is no YAML is read line by line. */
export function accessIn(text: string): Access[] {
  if (text.length > LONGEST) return []
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' })
  if (!Array.isArray(documents) || documents.some(document => document.errors.length > 0))
    return accessInLines(text.split('\n').map((one, index) => ({ text: one, line: index + 1 })))
  const found: Access[] = []
  const visit = (node: unknown, depth: number): void => {
    if (depth > DEEPEST) return
    if (isSeq(node)) for (const item of node.items) visit(item, depth + 1)
    if (!isMap(node)) return
    for (const pair of node.items) {
      const line = lines.linePos((pair.key as Node | null)?.range?.[0] ?? 0).line
      for (const one of ofPair(pair, depth)) found.push({ ...one, line: lineIn(lines, one.node, line) })
      visit(pair.value, depth + 1)
    }
  }
  for (const { contents } of documents) visit(contents, 0)
  return found.map(({ kind, of, line }) => ({ kind, of, line })).sort((a, b) => a.line - b.line)
}

type Found = { kind: AccessKind; of: string; node: unknown }

function ofPair({ key, value }: Pair, depth: number): Found[] {
  const name = textOf(key)
  const said = textOf(value)
  const is = (kind: AccessKind, of = '', node: unknown = value): Found[] => [{ kind, of, node }]
  if (name === 'permissions' && said === 'write-all') return is('write-all')
  if (name === 'id-token' && said === 'write') return is('id-token')
  if (name === 'secrets' && said === 'inherit') return is('secrets-inherit')
  if (name === 'uses' && said !== undefined && isUnpinned(said)) return is('unpinned-uses', actionOf(said))
  if (depth === 0 && (name === 'on' || name === 'true')) {
    const events = isMap(value) ? value.items.map(one => one.key) : isSeq(value) ? value.items : [value]
    const at = events.find(event => textOf(event) === 'pull_request_target')
    if (at !== undefined) return is('pull_request_target', '', at)
  }
  return []
}

function lineIn(lines: LineCounter, node: unknown, otherwise: number): number {
  const at = (node as Node | null)?.range?.[0]
  return at === undefined ? otherwise : lines.linePos(at).line
}

const textOf = (node: unknown): string | undefined =>
  typeof node === 'string' ? node : isScalar(node) ? String(node.value) : undefined

/** Of somebody else, by a name that can be given to other code: a tag, a branch, an image without a digest. */
function isUnpinned(uses: string): boolean {
  if (uses.startsWith('./') || uses.startsWith('../')) return false
  if (uses.startsWith('docker://')) return !/@sha256:[0-9a-f]{64}$/.test(uses)
  if (/^(?:actions|github)\//.test(uses)) return false
  return /^[\w.-]+\/[\w./-]+@/.test(uses) && !/@[0-9a-f]{40}$/.test(uses)
}

const actionOf = (uses: string) => uses.replace(/@[^@]*$/, '').slice(0, 200)

/** A key with this value, on a line of its own or in braces. */
function keyOf(key: string, value: string): RegExp {
  return new RegExp(`(?:^\\s*(?:-\\s*)?|[{,]\\s*)["']?${key}["']?\\s*:\\s*["']?${value}["']?\\s*(?:[,}]|$)`)
}

const PATTERNS: readonly (readonly [AccessKind, RegExp])[] = [
  ['write-all', keyOf('permissions', 'write-all')],
  ['id-token', keyOf('id-token', 'write')],
  ['secrets-inherit', keyOf('secrets', 'inherit')],
  ['pull_request_target', /^\s*(?:-\s*)?["']?pull_request_target["']?\s*(?::.*)?$/],
  ['pull_request_target', /^["']?on["']?\s*:.*\bpull_request_target\b/],
]

const USES = /(?:^\s*(?:-\s*)?|[{,]\s*)["']?uses["']?\s*:\s*["']?([^\s"'#,}]+)/g

/** The same by lines alone, where there is no whole file: of a diff that somebody hands in. */
export function accessInLines(lines: readonly { text: string; line: number }[]): Access[] {
  return lines.flatMap(({ text, line }) => {
    const said = text.replace(/(?:^|\s)#.*$/, '').trimEnd()
    const found = PATTERNS.filter(([, pattern]) => pattern.test(said)).map(([kind]) => ({
      kind,
      of: '',
      line,
    }))
    for (const [, uses = ''] of said.matchAll(USES))
      if (isUnpinned(uses)) found.push({ kind: 'unpinned-uses', of: actionOf(uses), line })
    return found
  })
}

/** What was not there as often before; of lines that were moved or re-indented, nothing. */
export function accessAdded(added: readonly Access[], gone: readonly Access[]): Access[] {
  const left = new Map<string, number>()
  for (const { kind, of } of gone) left.set(`${kind} ${of}`, (left.get(`${kind} ${of}`) ?? 0) + 1)
  return added.filter(({ kind, of }) => {
    const before = left.get(`${kind} ${of}`) ?? 0
    left.set(`${kind} ${of}`, before - 1)
    return before <= 0
  })
}
