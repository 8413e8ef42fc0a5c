import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kekFiles } from '../../src/keys/kek-files.ts'
import { readSecretFile } from '../../src/keys/secret-file.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-'))
  path = join(folder, 'app.pem')
  await writeFile(path, 'the secret\n', { mode: 0o600 })
})
afterEach(() => rm(folder, { recursive: true }))

test('what only its owner may reach is read whole', async () => {
  expect(await readSecretFile(kekFiles, path)).toBe('the secret\n')
  await writeFile(path, 'k'.repeat(65_536))
  expect((await readSecretFile(kekFiles, path)).length).toBe(65_536)
})

// Keys of providers were taken at any mode.
test.each([0o644, 0o640, 0o604, 0o620, 0o602, 0o610])('mode %o is refused, with what to do', async mode => {
  await chmod(path, mode)
  await expect(readSecretFile(kekFiles, path)).rejects.toThrow(
    `${path}: mode 0${mode.toString(8)} lets others reach a secret. Run: chmod 600 ${path}`,
  )
})

test('a file that is not there, and one that is no secret', async () => {
  await expect(readSecretFile(kekFiles, `${path}.other`)).rejects.toThrow(
    'app.pem.other: there is no such file',
  )
  await writeFile(path, 'k'.repeat(65_537))
  await expect(readSecretFile(kekFiles, path)).rejects.toThrow('has more than 65536 bytes')
})
