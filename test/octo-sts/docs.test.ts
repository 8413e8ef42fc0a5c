/** What docs/octo-sts.md shows is what there is. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { createProgram } from '../../src/cli/program.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { settingsShape } from '../../src/config/settings.ts'

const text = await readFile(new URL('../../docs/octo-sts.md', import.meta.url), 'utf8')

test('its settings are accepted, those in comments too', () => {
  const [piece] = [...text.matchAll(/```yaml\n(attestors:[\s\S]*?)```/g)].map(match => match[1]!)
  const base = {
    ...{ listen: { host: '127.0.0.1', port: 1 }, public_url: 'http://127.0.0.1' },
    ...{ ledger: { type: 'sqlite', path: 'x' }, kek_file: 'y' },
  }
  for (const shown of [piece!, piece!.replaceAll(/^( *)# (\w+:)/gm, '$1$2')])
    expect(() => settingsShape.parse({ ...base, ...parse(shown) })).not.toThrow()
})

test('its commands have the options that it shows', () => {
  const program = createProgram({} as Terminal, '0.0.0')
  const command = program.commands
    .find(one => one.name() === 'import')
    ?.commands.find(one => one.name() === 'octo-sts')
  const known = command?.options.map(one => one.long) ?? []
  const shown = [...text.slice(text.indexOf('## Leaving')).matchAll(/(?<!-)(--[a-z][a-z-]*)/g)].map(
    match => match[1]!,
  )
  expect(shown.length).toBeGreaterThan(4)
  for (const option of shown) expect(known).toContain(option)
})
