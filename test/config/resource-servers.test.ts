import { describe, expect, test } from 'vitest'
import { readFolder } from '../../src/config/read-files.ts'
import { parseResourceServers } from '../../src/config/resource-servers.ts'
import { memoryFiles } from './memory-files.ts'
import { places } from './refused.ts'

const digest = (char: string) => char.repeat(64)
const server = (name: string, char: string) =>
  `name: ${name}\naudience: https://${name}.example.com\nsecret_sha256: "${digest(char)}"\n`

async function parse(texts: Readonly<Record<string, string>>) {
  const folder = await readFolder(memoryFiles(texts, ['rs']), 'rs', 'resource_servers_dir')
  return parseResourceServers(folder, { public_url: 'https://mayfly.example.com' })
}
async function problems(texts: Readonly<Record<string, string>>) {
  const parsed = await parse(texts)
  return parsed.ok ? expect.unreachable('accepted') : parsed.problems
}

describe('resource servers', () => {
  test('none, and two', async () => {
    expect(await parse({})).toEqual({ ok: true, value: [] })
    expect(await parse({ 'rs/a.yaml': server('a', '1'), 'rs/b.yaml': server('b', '2') })).toEqual({
      ok: true,
      value: [
        { name: 'a', audience: 'https://a.example.com', secret_sha256: digest('1') },
        { name: 'b', audience: 'https://b.example.com', secret_sha256: digest('2') },
      ],
    })
  })

  test.each<[string, string, string]>([
    ['name: a', 'name: b', '1:1 name'],
    ['https://a.example.com', '""', '2:1 audience'],
    ['https://a.example.com', 'two words', '2:1 audience'],
    ['https://a.example.com', '[x]', '2:1 audience'],
    ['https://a.example.com', 'https://mayfly.example.com', '2:1 audience'],
    [digest('1'), digest('1').slice(1), '3:1 secret_sha256'],
    [digest('1'), digest('A'), '3:1 secret_sha256'],
    [`"${digest('1')}"`, digest('1'), '3:1 secret_sha256'],
    [digest('1'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '3:1 secret_sha256'],
    ['secret_sha256', 'secret', '3:1 secret'],
  ])('%j as %j is refused', async (from, to, place) => {
    const found = await problems({ 'rs/a.yaml': server('a', '1').replace(from, to) })
    expect(places(found)).toContain(place)
  })

  test('a secret itself, put where its digest belongs, is refused and not repeated', async () => {
    const found = await problems({ 'rs/a.yaml': server('a', '1').replace(digest('1'), 'hunter2-hunter2') })
    expect(JSON.stringify(found)).not.toContain('hunter2')
  })

  test('two with one secret', async () => {
    const found = await problems({ 'rs/a.yaml': server('a', '1'), 'rs/b.yaml': server('b', '1') })
    expect(found).toMatchObject([{ file: 'rs/b.yaml', line: 3, key: 'secret_sha256' }])
  })
})
