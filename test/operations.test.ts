/** docs/operations.md names every alarm and every metric that there is, and none that there is not. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const guide = readFileSync(join(root, 'docs/operations.md'), 'utf8')
const code = ['src', 'issuers', 'attestors']
  .flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)),
  )
  .filter(name => name.endsWith('.ts'))
  .map(name => readFileSync(join(root, name), 'utf8'))
  .join('\n')

const all = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(match => match[1]!))].sort()

test('alarms', () => {
  const table = guide.slice(guide.indexOf('## Alarms'), guide.indexOf('## Following'))
  expect(all(table, /^\| `(\w+)`/gm)).toEqual(all(code, /alarm: '(\w+)'/g))
})

test('metrics', () => {
  const table = guide.slice(guide.indexOf('## Metrics'), guide.indexOf('Worth a page'))
  expect(all(table, /`(mayfly_\w+)`/g)).toEqual(
    all(code, /'(mayfly_\w+)'/g).filter(name => !name.includes('mayfly_test')),
  )
})
