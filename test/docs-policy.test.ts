/** The recipes of docs/policy.md do what the cases below them say, and the tables beside them are true. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Installation as Configured, readInstallation } from '../src/cli/policy-set.ts'
import { judgeCase } from '../src/cli/policy-test.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import { parsePolicyCases } from '../src/config/policy-cases.ts'
import { parseYaml } from '../src/config/yaml-file.ts'
import { compilePolicies } from '../src/policy/cedar/compile.ts'
import { lintPolicies } from '../src/policy/cedar/lint.ts'
import { createInstallation, edgeFor, type Installation } from './fakes/installation.ts'

const root = join(import.meta.dirname, '..')
const page = await readFile(join(root, 'docs/policy.md'), 'utf8')
const floor = await readFile(join(root, 'config/policies/default.cedar'), 'utf8')

const recipes = page
  .split(/^### /m)
  .slice(1)
  .map(section => ({
    title: section.split('\n', 1)[0]!,
    policies: /```cedar\n([\s\S]*?)```/.exec(section)?.[1] ?? '',
    cases: /```yaml\n([\s\S]*?)```/.exec(section)?.[1] ?? '',
  }))

let installation: Installation
let configured: Configured
let folder: string

beforeAll(async () => {
  installation = await createInstallation()
  const terminal = { edge: async () => edgeFor(installation) } as Partial<Terminal> as Terminal
  configured = await readInstallation(terminal, installation.configPath)
  folder = await mkdtemp(join(installation.directory, 'recipes-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await installation?.close()
})

test('there are at least ten recipes, each with policies and cases', () => {
  expect(recipes.length).toBeGreaterThanOrEqual(10)
  for (const { title, policies, cases } of recipes)
    expect([title, policies.length > 0, cases.length > 0]).toEqual([title, true, true])
})

describe.each(recipes)('recipe $title', ({ title, policies, cases }) => {
  const compile = () => {
    const isWhole = policies.startsWith('// In place of default.cedar.')
    const files = [{ name: 'recipe.cedar', text: policies }]
    const all = isWhole ? files : [{ name: 'default.cedar', text: floor }, ...files]
    const result = compilePolicies(all, configured.vocabulary)
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
    return result.set
  }

  test('comes out as its cases say, and they say both', async () => {
    const path = join(folder, `${title.split('.')[0]}.yaml`)
    await writeFile(path, cases)
    const parsed = parsePolicyCases(parseYaml(path, cases), configured)
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
    const results = await Promise.all(parsed.value.map(one => judgeCase(compile(), one)))
    expect(results.filter(({ wrong }) => wrong.length > 0)).toEqual([])
    const outcomes = new Set(results.map(({ outcome }) => outcome))
    expect(outcomes.has('allow')).toBe(true)
    expect(outcomes.size).toBeGreaterThan(1)
  })

  test('is without findings', () => {
    const set = compile()
    const own = set.policies.filter(({ file }) => file === 'recipe.cedar')
    const agents = configured.agents.map(({ name }) => name)
    const attestors = Object.keys(configured.settings.attestors)
    const facts = { vocabulary: configured.vocabulary, agents, attestors, riskyAttestors: ['actions'] }
    expect(lintPolicies(set.policies, facts).filter(({ file }) => file === 'recipe.cedar')).toEqual([])
    expect(own.length).toBeGreaterThan(0)
  })
})

test('the page names every finding of lint, and every command of policy', async () => {
  const source = await readFile(join(root, 'src/policy/cedar/lint-finding.ts'), 'utf8')
  const rules = [...source.matchAll(/^ {2}\| '([\w-]+)'/gm)].map(([, rule]) => rule)
  expect(rules.length).toBeGreaterThan(8)
  expect(rules.filter(rule => !page.includes(`\`${rule}\``))).toEqual([])
  for (const command of ['test', 'lint', 'schema', 'simulate', 'shadow'])
    expect(page).toContain(`mayfly policy ${command}`)
})
