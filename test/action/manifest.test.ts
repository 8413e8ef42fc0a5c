/** `action.yml`, its documentation, and the rules that its sources keep. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { githubAsk } from '../../issuers/shared/github-ask.ts'
import { GITHUB_PERMISSIONS } from '../../issuers/shared/github-permissions.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
type Manifest = {
  inputs: Record<string, { description: string; default?: string }>
  outputs: Record<string, { description: string }>
  runs: Record<string, string>
}
const manifest = parse(read('action/action.yml')) as Manifest
const sources = Object.fromEntries(
  readdirSync(join(root, 'action/src')).map(name => [name, read(`action/src/${name}`)]),
)

describe('action.yml', () => {
  test('runs main and post by Node 24, the post step always', () => {
    expect(manifest.runs).toEqual({
      ...{ using: 'node24', main: 'dist/main.js', post: 'dist/post.js', 'post-if': 'always()' },
    })
  })

  test('has an input for every permission that GitHub knows, and no other', () => {
    const named = Object.keys(manifest.inputs).filter(name => name.startsWith('permission-'))
    const known = Object.keys(GITHUB_PERMISSIONS).map(name => `permission-${name.replaceAll('_', '-')}`)
    expect(named).toEqual(known.sort())
    const asked = named.map(name => [name.slice('permission-'.length).replaceAll('-', '_'), 'write'])
    const writable = asked.filter(([name]) => GITHUB_PERMISSIONS[name!]?.levels.includes('write'))
    expect(
      githubAsk.safeParse({ repository_ids: [1], permissions: Object.fromEntries(writable) }).success,
    ).toBe(true)
  })

  test('names each input that is read, and each output that is set, and no other', () => {
    const code = Object.values(sources).join('\n')
    const others = Object.keys(manifest.inputs).filter(name => !name.startsWith('permission-'))
    const asked = [...code.matchAll(/(?:given\(job|count\(job|input\()(?:, )?'([a-z-]+)'/g)].map(
      match => match[1]!,
    )
    expect([...new Set(asked)].sort()).toEqual(others.sort())
    for (const name of Object.keys(manifest.outputs)) expect(code, name).toContain(`'${name}'`)
    for (const { description } of [...Object.values(manifest.inputs), ...Object.values(manifest.outputs)])
      expect(description).not.toContain('${{')
  })
})

describe.each(['docs/action.md', 'action/README.md', 'README.md'])('%s', page => {
  const uses = [...read(page).matchAll(/```yaml\n([\s\S]*?)```/g)]
    .flatMap(match => stepsIn(parse(match[1]!)))
    .filter(step => /\/mayfly\/action@/.test(step.uses ?? ''))

  test('shows steps with inputs that there are', () => {
    expect(uses.length).toBeGreaterThan(0)
    for (const { with: inputs = {} } of uses)
      for (const name of Object.keys(inputs)) expect(Object.keys(manifest.inputs), name).toContain(name)
  })

  test('shows outputs that there are', () => {
    const ids = uses.flatMap(({ id }) => (id === undefined ? [] : [id]))
    for (const [, id, output] of read(page).matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g))
      if (ids.includes(id!)) expect(Object.keys(manifest.outputs)).toContain(output)
  })
})

test('docs/action.md has a row for each input and each output', () => {
  const page = read('docs/action.md')
  const names = Object.keys({ ...manifest.inputs, ...manifest.outputs })
  const missing = names.filter(name => !name.startsWith('permission-') && !page.includes(`\`${name}\``))
  expect(missing).toEqual([])
  for (const [, part] of sources['explain.ts']!.matchAll(/pageOf\(job, '(\w+)'\)/g))
    expect(page.toLowerCase()).toContain(`\n## ${part}\n`)
})

describe('its sources', () => {
  const EDGES = ['edge.ts', 'main.ts', 'post.ts', 'run-script.ts']

  test.each(Object.entries(sources).filter(([name]) => !EDGES.includes(name)))(
    '%s takes the world as an argument',
    (_, code) => {
      expect(code).not.toMatch(
        /\bprocess\.|\bconsole\.|Date\.now\(|new Date\(\)|Math\.random\(|\bsetTimeout\(/,
      )
    },
  )

  test('stand on the client as others get it, what an ask is for, the names of variables, and two packages', () => {
    const from = Object.values(sources).flatMap(code =>
      [...code.matchAll(/from '([^']+)'/g)].map(match => match[1]!),
    )
    const others = new Set(from.filter(path => !path.startsWith('./') && !path.startsWith('node:')))
    expect([...others].sort()).toEqual([
      ...['../../src/client/index.ts', '../../src/sidecar/ask-kind.ts', '../../src/sidecar/variables.ts'],
      ...['@actions/core', 'yaml'],
    ])
  })

  test('come into the bundle without an HTTP client of their own', () => {
    for (const name of ['main.js', 'post.js'])
      expect(read(`action/dist/${name}`)).not.toMatch(/node_modules\/(undici|tunnel|@actions\/http-client)/)
  })
})

type Step = { id?: string; uses?: string; with?: Record<string, unknown> }

function stepsIn(value: unknown): Step[] {
  if (typeof value !== 'object' || value === null) return []
  return 'uses' in value ? [value as Step] : Object.values(value).flatMap(stepsIn)
}
