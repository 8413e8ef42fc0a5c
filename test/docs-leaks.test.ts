/** What docs/leaks.md shows is what holds: its settings load, and its pattern finds every token and little else. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { createProgram } from '../src/cli/program.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import { settingsShape } from '../src/config/settings.ts'
import { newToken, TOKEN_PREFIXES, type TokenKind } from '../src/keys/tokens.ts'

const text = await readFile(new URL('../docs/leaks.md', import.meta.url), 'utf8')
const blocks = (language: string) =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(match =>
    match[1]!.replaceAll(/^ {3}/gm, ''),
  )

test('every piece of configuration is accepted', () => {
  const pieces = blocks('yaml').map(piece => parse(piece) as { leaks: unknown })
  expect(pieces).toHaveLength(2)
  for (const { leaks } of pieces) settingsShape.shape.leaks.parse(leaks)
})

test('the pattern finds every token that is made, and no other prefix, alphabet or length', () => {
  const [pattern = ''] = blocks('text')
  // As GitHub runs it: the secret, with its defaults for what stands before and after.
  const found = new RegExp(`(?:^|[^0-9A-Za-z])(${pattern.trim()})(?:$|[^0-9A-Za-z])`)
  for (const kind of Object.keys(TOKEN_PREFIXES) as TokenKind[])
    for (let n = 0; n < 200; n += 1) {
      const token = newToken(kind, Date.now(), randomBytes).reveal()
      expect(found.exec(`token="${token}"`)?.[1]).toBe(token)
      for (const wrong of [token.slice(0, -1), `${token}x`, token.replace('_', '-'), `x${token}`])
        expect(found.test(wrong), wrong.length.toString()).toBe(false)
    }
  expect(found.test(randomBytes(60_000).toString('base64'))).toBe(false)
})

test('every command and option that is shown is there', () => {
  // Nothing is run: help alone is asked for.
  const program = createProgram({ out() {}, err() {} } as Partial<Terminal> as Terminal, '0.0.0')
  const shown = blocks('sh').flatMap(block => block.split('\n').filter(line => line.includes('mayfly ')))
  for (const line of shown) {
    const [name = '', ...words] = line
      .slice(line.indexOf('mayfly ') + 7)
      .split(/\s+#|\s--\s/)[0]!
      .split(/\s+/)
    const command = program.commands.find(one => one.name() === name)
    expect(command, name).toBeDefined()
    const options = command!.options.map(one => one.long)
    for (const word of words) if (word.startsWith('--')) expect(options, line).toContain(word)
  }
})
