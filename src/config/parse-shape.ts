/** A part of a YAML file against its schema: the parsed value, or problems that name line and key. */
import type { z } from 'zod'
import type { Problem } from './problem.ts'
import type { KeyPath, YamlFile } from './yaml-file.ts'

export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: Problem[] }

/** `at` is where `value` stands in the file. */
export function parseShape<T>(
  file: YamlFile,
  schema: z.ZodType<T>,
  value: unknown,
  at: KeyPath = [],
): Parsed<T> {
  const result = schema.safeParse(value)
  if (result.success) return { ok: true, value: result.data }
  return {
    ok: false,
    problems: result.error.issues.flatMap(issue => problemsOf({ file, root: value, at }, issue, [])),
  }
}

type Place = { file: YamlFile; root: unknown; at: KeyPath }

function problemsOf(place: Place, issue: z.core.$ZodIssue, above: KeyPath): Problem[] {
  const path = [...above, ...issue.path]
  const problem = (expected: string, remedy?: string, below: KeyPath = []) =>
    place.file.problem([...place.at, ...path, ...below], expected, remedy)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map(key => problem('no such key here', 'Remove it, or correct its spelling', [key]))
    case 'invalid_key':
      return issue.issues.map(inner => problem(inWords(inner.message)))
    case 'invalid_union': {
      // The branch with the fewest complaints is the one that was meant; a literal tag has no branch at all.
      const [nearest = []] = [...issue.errors].sort((a, b) => a.length - b.length)
      if (nearest.length === 0) return [problem(inWords(issue.message))]
      return nearest.flatMap(inner => problemsOf(place, inner, path))
    }
    case 'invalid_type': {
      // A schema's own words say more than the type's name.
      const own = issue.message.startsWith('Invalid input') ? undefined : issue.message
      const missing = valueAt(place.root, path) === undefined
      const expected = own ?? `expected ${issue.expected}`
      return [missing ? problem(`missing, ${expected}`, 'Set it') : problem(expected)]
    }
    case 'custom':
      return [problem(inWords(issue.message), remedyOf(issue.params))]
    default:
      return [problem(inWords(issue.message))]
  }
}

function valueAt(root: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, part) => {
    if (typeof value !== 'object' || value === null) return undefined
    return Object.hasOwn(value, part) ? value[part as keyof typeof value] : undefined
  }, root)
}

function remedyOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  return typeof params?.remedy === 'string' ? params.remedy : undefined
}

function inWords(message: string): string {
  return message.replace(/^Invalid (input|option): /, '')
}
