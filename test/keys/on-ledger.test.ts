/** The keys on the embedded ledger itself: what the in-memory stand-in of the other tests leaves out. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kekOf } from '../../src/keys/kek.ts'
import { isUnsealed, openKeyring } from '../../src/keys/open-keyring.ts'
import { createSigningKeys } from '../../src/keys/signing-keys.ts'
import type { Ledger } from '../../src/store/ledger.ts'
import { openSqliteLedger } from '../../src/store/sqlite.ts'
import { seededRandom } from './seeded-random.ts'

const rotation = { rotateAfterMs: 1_000, publishAheadMs: 1_000, longestTokenMs: 1_000 }
let folder: string
let clock: number
let ledger: Ledger

const openLedger = async () => {
  ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), now: () => clock })
  return ledger
}
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mayfly-keys-'))
  clock = Date.UTC(2026, 10, 22)
  await openLedger()
})
afterEach(async () => {
  await ledger.close()
  await rm(folder, { recursive: true })
})

const open = (byte: number) =>
  openKeyring({
    ledger,
    kek: kekOf(new Uint8Array(32).fill(byte)),
    random: seededRandom(`ring ${byte}`),
  })
const ring = async (byte: number) => (await open(byte)).keyring

test('canary and keys survive a restart and a rotation; another KEK is refused', async () => {
  expect(await isUnsealed(ledger.read)).toBe(true)
  const before = await ring(1)
  const keys = createSigningKeys({
    ledger,
    keyring: before,
    random: seededRandom('one'),
    rotation,
    purpose: 'task-jwt',
  })
  await keys.ensure()
  const jwt = await keys.sign('at+jwt', { n: 1 })
  await ledger.close()

  await openLedger()
  expect(await isUnsealed(ledger.read)).toBe(false)
  await expect(open(2)).rejects.toMatchObject({ code: 'kek_wrong' })
  const after = await ring(1)
  const again = createSigningKeys({
    ledger,
    keyring: after,
    random: seededRandom('two'),
    rotation,
    purpose: 'task-jwt',
  })
  await again.ensure()
  expect(again.verify(jwt)?.claims).toEqual({ n: 1 })

  clock += rotation.rotateAfterMs
  expect(await again.rotate()).toBe(true)
  expect(again.verify(jwt)).toBeDefined()
  expect(again.jwks().keys).toHaveLength(3)
})

test('two sets of keys on one ledger that start and rotate at once agree', async () => {
  const keyring = await ring(1)
  const sets = ['one', 'two', 'three'].map(seed =>
    createSigningKeys({
      ledger,
      keyring,
      random: seededRandom(seed),
      rotation,
      purpose: 'task-jwt',
    }),
  )
  await Promise.all(sets.map(keys => keys.ensure()))
  clock += rotation.rotateAfterMs
  const rotated = await Promise.all(sets.map(keys => keys.rotate()))
  expect(rotated.filter(Boolean)).toHaveLength(1)
  const [first, ...others] = sets.map(keys => keys.jwks())
  for (const other of others) expect(other).toEqual(first)
})
