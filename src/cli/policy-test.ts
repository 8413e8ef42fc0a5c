/** `mayfly policy test`: cases that a team writes for its policies, judged without a broker, for its CI. */

import { type PolicyCase, parsePolicyCases } from '../config/policy-cases.ts'
import { readText } from '../config/read-files.ts'
import { parseYaml } from '../config/yaml-file.ts'
import { ConfigError } from '../config.ts'
import type { CompiledSet } from '../policy/cedar/compile.ts'
import { judgeCompiled } from '../policy/cedar/judge.ts'
import type { PolicyVerdict } from '../policy/facts.ts'
import { judgeNarrowOnly } from '../policy/narrow-only.ts'
import { type RegisteredOptions, withRegistered } from './policy-registered.ts'
import { compileFolder, type PolicySource, readInstallation } from './policy-set.ts'
import { printable, printJson } from './print.ts'
import { EXIT, type Terminal } from './terminal.ts'

export async function policyTest(
  terminal: Terminal,
  paths: readonly string[],
  options: PolicySource & RegisteredOptions & { json?: boolean },
): Promise<void> {
  // 1. The installation, its policies, and every case, before any is judged.
  const configured = await readInstallation(terminal, options.config)
  const installation = await withRegistered(terminal, configured, options)
  const set = await compileFolder(terminal, installation, options.policies)
  const { files } = await terminal.edge()
  const cases: PolicyCase[] = []
  for (const path of paths) {
    const parsed = parsePolicyCases(parseYaml(path, await readText(files, path)), installation)
    if (!parsed.ok) throw new ConfigError(parsed.problems)
    cases.push(...parsed.value)
  }

  // 2. Each by itself.
  const results = await Promise.all(cases.map(one => judgeCase(set, one)))

  // 3. What came of it.
  const failed = results.filter(({ wrong }) => wrong.length > 0)
  if (options.json) printJson(terminal, { hash: set.hash, results })
  else {
    terminal.out(results.map(describe).join(''))
    terminal.out(`${results.length - failed.length} of ${results.length} cases are as expected\n`)
  }
  if (failed.length > 0) terminal.exitWith(EXIT.failure)
}

export type CaseResult = Pick<PolicyCase, 'name' | 'file' | 'line'> &
  Pick<PolicyVerdict, 'outcome' | 'determining' | 'reasons' | 'nearest'> & {
    /** What is not as expected, in words; none where it is. */
    wrong: readonly string[]
  }

export async function judgeCase(set: CompiledSet, one: PolicyCase): Promise<CaseResult> {
  const engine = { judge: async (request: PolicyCase['request']) => judgeCompiled(set, request) }
  const verdict = await judgeNarrowOnly(engine, one.request, one.declared)
  const { name, file, line } = one
  const { outcome, determining, reasons, nearest } = verdict
  return { name, file, line, outcome, determining, reasons, nearest, wrong: faultsOf(one, verdict) }
}

function faultsOf({ expect, by, needs }: PolicyCase, verdict: PolicyVerdict): string[] {
  const faults: string[] = []
  if (verdict.outcome !== expect) faults.push(`expected ${expect}, and it is ${verdict.outcome}`)
  const determining = verdict.determining.toSorted()
  if (by !== undefined && by.toSorted().join() !== determining.join())
    faults.push(`expected by ${listed(by)}, and it is by ${listed(determining)}`)
  if (needs === undefined) return faults
  const isMet = verdict.requires.some(
    ({ quorum, groups }) =>
      quorum === (needs.quorum ?? quorum) &&
      groups.toSorted().join() === (needs.groups ?? groups).toSorted().join(),
  )
  if (isMet) return faults
  const demands = verdict.requires.map(
    ({ policy, quorum, groups }) => `${policy} (quorum ${quorum}, groups ${listed(groups)})`,
  )
  return [...faults, `expected other demands, and they are ${listed(demands)}`]
}

const listed = (items: readonly string[]) => (items.length === 0 ? 'none' : items.join(', '))

function describe({ name, file, line, outcome, determining, reasons, nearest, wrong }: CaseResult): string {
  if (wrong.length === 0) return `ok    ${printable(name)}: ${outcome}, by ${listed(determining)}\n`
  const more = [...wrong, ...reasons, ...nearest.map(miss => `nearest: ${miss}`)]
  return `FAIL  ${file}:${line}: ${printable(name)}\n${more.map(one => `        ${printable(one)}\n`).join('')}`
}
