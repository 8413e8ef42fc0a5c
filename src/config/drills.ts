/** `drills:` in mayfly.yaml, held against the issuers: a canary's ask must be one that its issuer knows. */
import { join } from 'node:path'
import type { Issuer } from '../../issuers/issuer.ts'
import type { Parsed } from './parse-shape.ts'
import type { Problem } from './problem.ts'
import type { Settings } from './settings.ts'

export type Drill = { ask: Readonly<Record<string, unknown>>; through?: string; daily: boolean }

export function parseDrills(
  { drills, directory }: Pick<Settings, 'drills' | 'directory'>,
  issuers: ReadonlyMap<string, Pick<Issuer, 'ask'> & Partial<Pick<Issuer, 'facts'>>>,
): Parsed<Map<string, Drill>> {
  const file = join(directory, 'mayfly.yaml')
  const problems: Problem[] = []
  const parsed = new Map<string, Drill>()
  for (const [name, { ask, through, daily }] of Object.entries(drills)) {
    const issuer = issuers.get(name)
    if (issuer === undefined) {
      const expected = `expected one of the issuers: ${[...issuers.keys()].join(', ')}`
      problems.push({ file, key: `drills.${name}`, expected })
      continue
    }
    const result = issuer.ask.safeParse(ask)
    if (!result.success) {
      for (const issue of result.error.issues) {
        const key = ['drills', name, 'ask', ...issue.path].join('.')
        problems.push({ file, key, expected: issue.message })
      }
      continue
    }
    if (issuer.facts?.(result.data).mayLeaveAccess === true) {
      const expected = 'expected an ask of least scope: with this one access could be left behind'
      problems.push({
        file,
        key: `drills.${name}.ask`,
        expected,
        remedy: 'Ask to read, and for one thing only',
      })
      continue
    }
    // The issuer's own schema takes the ask again when the drill runs, as it takes every ask.
    parsed.set(name, { ask, daily, ...(through === undefined ? {} : { through }) })
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: parsed }
}
