import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/config.ts'
import { types } from './fake-types.ts'
import { memoryFiles } from './memory-files.ts'
import { places, problemsOf } from './refused.ts'

const type = (name: string) =>
  `{ type: '${name}', settings: { safeParse: data => ({ success: true, data }) }, open() {} }`
const module = (body: string) => `import { createHash } from 'node:crypto'\n${body}\n`
const good = module(`export const attestorTypes = [${type('vault')}]`)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const load = (source: string | undefined, pin: string, attestorType = 'vault') => {
  const settings = `listen: { host: 127.0.0.1, port: 0 }
public_url: https://mayfly.example.com
ledger: { type: sqlite, path: db }
kek_file: kek
attestors:
  mine: { type: ${attestorType}, anything: 1 }
issuers: {}
plugins:
  - module: plugins/p.js
    sha256: "${pin}"
`
  const texts = { 'c/mayfly.yaml': settings, ...(source === undefined ? {} : { 'c/plugins/p.js': source }) }
  return loadSettings('c/mayfly.yaml', memoryFiles(texts), types)
}

describe('modules that the operator names', () => {
  test('bring types that instances may be of', async () => {
    const { settings, attestorTypes } = await load(good, sha256(good))
    expect(settings.attestors.mine).toMatchObject({ type: 'vault', settings: { anything: 1 } })
    expect(attestorTypes.map(known => known.type)).toEqual(['github-actions', 'fake', 'vault'])
  })

  test('are named in a stack trace by their path, not by their text', async () => {
    const source = module(
      `export const attestorTypes = [{ ...${type('vault')}, open() { throw new Error('no') } }]`,
    )
    const { attestorTypes } = await load(source, sha256(source))
    // Vitest formats stacks itself, by file name alone; the engine's own form is what a log gets.
    const format = Error.prepareStackTrace
    let stack = ''
    try {
      delete (Error as { prepareStackTrace?: unknown }).prepareStackTrace
      attestorTypes.at(-1)?.open({}, {} as never)
    } catch (error) {
      stack = (error as Error).stack ?? ''
    } finally {
      if (format !== undefined) Error.prepareStackTrace = format
    }
    expect(stack).toContain('mayfly-plugin:c/plugins/p.js')
    expect(stack).not.toContain('base64')
  })

  test.each([`${good} `, good.replace('vault', 'vauli'), `${good}globalThis.mayflyPluginRan = true\n`, ''])(
    'altered, are refused, and nothing of them runs (%#)',
    async altered => {
      const problems = await problemsOf(load(altered, sha256(good)))
      expect(places(problems)).toEqual(['10:5 plugins[0].sha256'])
      expect(problems[0]?.expected).toContain(sha256(altered))
      expect(globalThis).not.toHaveProperty('mayflyPluginRan')
    },
  )

  test.each<[string, string]>([
    ['no types', module('export const other = 1')],
    ['types that are no list', module('export const attestorTypes = {}')],
    ['a type without a name', module("export const attestorTypes = [{ type: '' }]")],
    [
      'a type without a schema',
      module("export const issuerTypes = [{ type: 'x', settings: {}, open() {} }]"),
    ],
    ['a type without a constructor', module(`export const issuerTypes = [{ ...${type('x')}, open: 1 }]`)],
    ['a syntax error', 'export const = 1'],
    ['a throw', "throw new Error('no')"],
    ['an import of a neighbour, which no pin covers', "import './other.js'\nexport const attestorTypes = []"],
    ['an import of a package, which no pin covers', "import 'zod'\nexport const attestorTypes = []"],
  ])('with %s, are refused', async (_, source) => {
    expect(places(await problemsOf(load(source, sha256(source))))).toEqual(['10:5 plugins[0].sha256'])
  })

  test('that are not there, are refused', async () => {
    expect((await problemsOf(load(undefined, sha256(good))))[0]?.expected).toBe('the module cannot be read')
  })

  test('may not take the name of a type that exists', async () => {
    const source = module(`export const attestorTypes = [${type('github-actions')}]`)
    const problems = await problemsOf(load(source, sha256(source)))
    expect(places(problems)).toEqual(['9:5 plugins[0]'])
    const twice = module(`export const attestorTypes = [${type('vault')}, ${type('vault')}]`)
    expect(await problemsOf(load(twice, sha256(twice)))).toHaveLength(1)
  })
})
