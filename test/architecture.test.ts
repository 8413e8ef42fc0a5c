/** The house rules that a reader relies on, read from the code itself. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/limits.ts'

const root = join(import.meta.dirname, '..')
const folders = ['src', 'attestors', 'issuers']
const files = folders.flatMap(folder => sourceFiles(folder))
const text = new Map(files.map(file => [file, readFileSync(join(root, file), 'utf8')]))

/** Top to bottom: a layer may import layers below it. Those on one line may not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/main.ts', 'src/cli', 'src/calendar.ts', 'src/open-telemetry.ts'],
  ['src/server.ts'],
  ['src/open-proof.ts', 'src/open-alerts.ts'],
  ['src/open-core.ts'],
  [
    'src/broker-settings.ts',
    'src/open-plugins.ts',
    'src/open-people.ts',
    'src/open-humans.ts',
    'src/open-roles.ts',
    'src/open-candidate.ts',
    'src/restart-needed.ts',
    'src/open-ledger.ts',
    'src/open-key-sets.ts',
    'src/open-webhooks.ts',
    'src/observed.ts',
    'src/prometheus.ts',
  ],
  ['src/http', 'src/observers'],
  ['src/octo-sts'],
  ['src/registry'],
  [
    'src/config.ts',
    'src/config',
    'src/plugins.ts',
    'src/policy-host',
    'src/outbound.ts',
    'src/outbound-connector.ts',
    'src/outbound-error.ts',
  ],
  ['src/broker', 'src/mcp'],
  [
    'src/policy',
    'src/store',
    'src/audit',
    'src/keys',
    'src/receipts',
    'src/provider-logs',
    'src/scan',
    'src/sidecar',
  ],
  ['src/canonical.ts', 'src/metrics.ts', 'src/trace.ts', 'src/client'],
  ['src/limits.ts', 'attestors', 'issuers'],
]
/** Parts of one line that stand on each other all the same, and why. */
const ALLOWED_SIDEWAYS: readonly (readonly [from: string, to: string])[] = [
  ['src/main.ts', 'src/cli'], // the edge hands the process to the commands
  ['src/main.ts', 'src/calendar.ts'], // the calendar is part of the edge
  ['src/main.ts', 'src/open-telemetry.ts'], // and so are traces
  ['src/config.ts', 'src/config'], // the entry of a folder
  ['src/config.ts', 'src/plugins.ts'], // plugins are named in the settings
  ['src/outbound.ts', 'src/outbound-connector.ts'], // one idea in three files
  ['src/outbound.ts', 'src/outbound-error.ts'],
  ['src/outbound-connector.ts', 'src/outbound-error.ts'],
  ['src/audit', 'src/store'], // an audit row is written in a ledger transaction
  ['src/receipts', 'src/store'], // a receipt is written from the ledger's rows
  ['src/scan', 'src/keys'], // Mayfly's own tokens are known by the form that they are made in
  ['src/keys', 'src/audit'], // what happens to a key is told like everything else
  ['src/keys', 'src/store'], // keys are kept in the ledger, sealed
]

describe('imports', () => {
  test('every file belongs to a layer', () => {
    expect(files.filter(file => place(file) === undefined)).toEqual([])
  })

  test('go downwards only', () => {
    const wrong = edges().filter(({ from, to }) => {
      const [a, b] = [place(from)!, place(to)!]
      if (a.part === b.part || a.layer < b.layer) return false
      return !ALLOWED_SIDEWAYS.some(([x, y]) => x === a.part && y === b.part)
    })
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([])
  })

  test('no exception stands that nothing uses', () => {
    const used = new Set(edges().map(({ from, to }) => `${place(from)!.part} ${place(to)!.part}`))
    expect(ALLOWED_SIDEWAYS.filter(([a, b]) => !used.has(`${a} ${b}`))).toEqual([])
  })

  test('attestors and issuers are leaves, and know nothing of each other', () => {
    const outside = edges().filter(({ from, to }) => isLeaf(from) && top(from) !== top(to))
    expect(outside).toEqual([])
  })

  test('the client runs without Node and without packages: it stands on itself and the hidden value alone', () => {
    const ours = files.filter(file => file.startsWith('src/client/'))
    const imported = (file: string) =>
      [...withoutComments(text.get(file)!).matchAll(/(?:from|import\(?)\s*'([^']+)'/g)].map(
        match => match[1]!,
      )
    const foreign = ours.flatMap(imported).filter(from => !from.startsWith('./'))
    expect(new Set(foreign)).toEqual(new Set(['../../issuers/shared/secret.ts']))
    expect(imported('issuers/shared/secret.ts')).toEqual([])
    expect(ours.filter(file => /\bBuffer\b/.test(withoutComments(text.get(file)!)))).toEqual([])
  })

  test('have no cycle', () => {
    expect(cycle(edges())).toEqual([])
  })
})

describe('the outside world', () => {
  const forbidden = [
    /\bprocess\./,
    /\bDate\.now\(/,
    /\bnew Date\(\)/,
    /\bMath\.random\(/,
    /\bconsole\./,
    /\bperformance\./,
  ]
  const timers = /\bset(Timeout|Interval|Immediate)\(/
  /** Of the program, and of a workload that uses the client. */
  const edges = new Set(['src/main.ts', 'src/client/surroundings.ts'])
  /** Where a timer is the work itself: bounds on connections and calls, and the armed group commit. */
  const mayUseTimers = new Set([
    'src/main.ts',
    'src/http/listen.ts',
    'src/outbound.ts',
    'src/store/group-commit.ts',
  ])

  test.each(files.filter(file => !edges.has(file)))('%s takes it as an argument', file => {
    const code = withoutComments(text.get(file)!)
    expect(forbidden.filter(pattern => pattern.test(code)).map(String)).toEqual([])
    if (!mayUseTimers.has(file) && !file.startsWith('src/cli/')) expect(timers.test(code)).toBe(false)
  })

  test('nothing is remembered at module level', () => {
    expect(files.filter(file => /^(export )?let /m.test(text.get(file)!))).toEqual([])
  })
})

// Six limits were declared and kept nothing: whoever relied on them was not protected.
test('every limit is kept by something', () => {
  const code = [...text].filter(([file]) => file !== 'src/limits.ts').map(([, one]) => one)
  const unused = Object.keys(LIMITS).filter(name => !code.some(one => new RegExp(`\\b${name}\\b`).test(one)))
  expect(unused).toEqual([])
})

describe('plugins', () => {
  test.each(['attestors', 'issuers'])('every file in %s is listed and has a test', folder => {
    const listed = text.get(`${folder}/index.ts`)!
    const plugins = files.filter(file => dirname(file) === folder && !isContract(file))
    for (const plugin of plugins) {
      const name = plugin.slice(folder.length + 1)
      expect(listed, `${plugin} is not listed`).toContain(`'./${name}'`)
      expect(readdirSync(join(root, 'test', folder)), `${plugin} has no test`).toContain(
        name.replace('.ts', '.test.ts'),
      )
    }
    expect(plugins.length).toBeGreaterThan(2)
  })
})

type Edge = { from: string; to: string }

function edges(): Edge[] {
  return [...text]
    .flatMap(([from, code]) =>
      [...withoutComments(code).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(match => ({
        from,
        to: normalize(join(dirname(from), match[1]!)),
      })),
    )
    .filter(({ to }) => text.has(to))
}

function place(file: string): { layer: number; part: string } | undefined {
  for (const [layer, parts] of LAYERS.entries()) {
    const part = parts.find(one => file === one || file.startsWith(`${one}/`))
    if (part !== undefined) return { layer, part }
  }
  return undefined
}

/** One cycle, as a path, or nothing. */
function cycle(all: readonly Edge[]): string[] {
  const done = new Set<string>()
  const path: string[] = []
  function visit(file: string): string[] {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    path.push(file)
    for (const { to } of all.filter(edge => edge.from === file)) {
      const found = visit(to)
      if (found.length > 0) return found
    }
    path.pop()
    done.add(file)
    return []
  }
  for (const file of files) {
    const found = visit(file)
    if (found.length > 0) return found
  }
  return []
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map(name => relative(root, join(root, folder, name)))
    .filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .sort()
}

const top = (file: string) => file.split('/')[0]!
const isLeaf = (file: string) => top(file) !== 'src'
const isContract = (file: string) => ['index.ts', 'attestor.ts', 'issuer.ts'].includes(file.split('/')[1]!)
const withoutComments = (code: string) =>
  code.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '')
