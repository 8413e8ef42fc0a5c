import { LIMITS } from '../limits.ts'

/** One thing wrong in one file: where, what was expected, and what to do. Never the value that stood there. */
export type Problem = {
  file: string
  /** From 1. Absent where the problem is the file or folder itself. */
  line?: number
  column?: number
  /** `listen.tls.cert_file`, `attest[0].claims.ref`; empty for the document itself. */
  key: string
  expected: string
  remedy?: string
}

/** The configuration was refused, as a whole. Holds every problem found, in file and line order; shows the first. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    const sorted = [...problems].sort(inOrder)
    const shown = sorted.slice(0, LIMITS.configProblems).map(describeProblem)
    const more = sorted.length - shown.length
    super([...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'))
    this.problems = sorted
  }
}

/** `config/mayfly.yaml:12:3: listen.host: expected …. Do this.` */
export function describeProblem({ file, line, column, key, expected, remedy }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`
  const text = `${place}: ${key === '' ? '' : `${key}: `}${expected}`
  return remedy === undefined ? text : `${text}. ${remedy}`
}

function inOrder(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

/** What to expect where a name must be one of those that exist. */
export function oneOf(what: string, names: readonly string[]): string {
  if (names.length === 0) return `expected one of the ${what}, of which there are none`
  const shown = names.slice(0, 20).join(', ')
  return `expected one of the ${what}: ${shown}${names.length > 20 ? ', …' : ''}`
}
