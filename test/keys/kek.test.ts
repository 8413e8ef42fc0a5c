import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { kekOf, loadKek } from '../../src/keys/kek.ts'
import { kekFiles } from '../../src/keys/kek-files.ts'
import { seededRandom } from './seeded-random.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-kek-'))
  path = join(folder, 'data', 'kek')
})
afterEach(() => rm(folder, { recursive: true }))

const load = (mayCreate: boolean, at = path) =>
  loadKek({ path: at, mayCreate }, { files: kekFiles, random: seededRandom('kek') })

describe('loadKek', () => {
  test('makes a key of mode 0600 for an empty ledger and finds the same one again', async () => {
    const made = await load(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
    const found = await load(false)
    expect(found.id).toBe(made.id)
    expect(found.key.equals(made.key)).toBe(true)
  })

  test('makes none for a ledger that needs the one it had', async () => {
    await expect(load(false)).rejects.toMatchObject({ code: 'kek_missing' })
    await expect(load(false)).rejects.toThrow(path)
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.each([0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o666, 0o610])('refuses mode %o', async mode => {
    await load(true)
    await chmod(path, mode)
    await expect(load(false)).rejects.toMatchObject({ code: 'kek_readable_by_others' })
    await expect(load(true)).rejects.toThrow(`chmod 600 ${path}`)
  })

  test.each([
    ['nothing', ''],
    ['63 digits', 'a'.repeat(63)],
    ['65 digits', 'a'.repeat(65)],
    ['upper case', 'A'.repeat(64)],
    ['two newlines', `${'a'.repeat(64)}\n\n`],
    ['a second line', `${'a'.repeat(64)}\n${'b'.repeat(64)}`],
    ['32 raw bytes', '\x01'.repeat(32)],
    ['a long file', 'a'.repeat(100_000)],
  ])('refuses a file of %s, without printing it', async (_, text) => {
    const at = join(folder, 'kek')
    await writeFile(at, text, { mode: 0o600 })
    const refused = await load(true, at).then(
      () => expect.unreachable(),
      (error: Error) => error,
    )
    expect(refused).toMatchObject({ code: 'kek_malformed' })
    if (text.length > 40) expect(refused.message).not.toContain(text.slice(0, 40))
  })

  test('never overwrites a file that appeared in between', async () => {
    const files = {
      ...kekFiles,
      read: async () => undefined,
    }
    await load(true)
    const before = await readFile(path, 'utf8')
    const again = loadKek({ path, mayCreate: true }, { files, random: seededRandom('other') })
    await expect(again).rejects.toMatchObject({ code: 'EEXIST' })
    expect(await readFile(path, 'utf8')).toBe(before)
  })
})

describe('kekOf', () => {
  test('its id tells keys apart and is no part of the key', () => {
    const one = kekOf(new Uint8Array(32).fill(1))
    const other = kekOf(new Uint8Array(32).fill(2))
    expect(one.id).toMatch(/^[0-9a-f]{16}$/)
    expect(one.id).not.toBe(other.id)
    expect(inspect(one)).not.toContain('01010101')
    expect(JSON.stringify(one)).not.toContain('01010101')
  })

  test('refuses any other size', () => {
    expect(() => kekOf(new Uint8Array(31))).toThrow('32 bytes')
  })
})
