import { beforeEach, describe, expect, test } from 'vitest'
import { sealCanary } from '../../src/keys/canary.ts'
import { type Kek, kekOf } from '../../src/keys/kek.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { openKeyring } from '../../src/keys/open-keyring.ts'
import { parseSealedRoot } from '../../src/keys/root-key.ts'
import { finishRotation, rotateKek } from '../../src/keys/rotate-kek.ts'
import type { LedgerWrite } from '../../src/store/ledger.ts'
import { keyLedger } from './key-ledger.ts'
import { seededRandom } from './seeded-random.ts'

const random = seededRandom('rotate kek')
const [first, second, third] = [1, 2, 3].map(byte => kekOf(new Uint8Array(32).fill(byte))) as [Kek, Kek, Kek]
const bind = { row: 'r', column: 'c' }
let store: ReturnType<typeof keyLedger>
let sealed: Uint8Array

const ringWith = async (kek: Kek) => (await openKeyring({ ledger: store.ledger, kek, random })).keyring
const rotate = (kek: Kek, next: Kek) => rotateKek(store.ledger, { kek, next }, random)
const finish = (kek: Kek) => finishRotation(store.ledger, kek, random)
const opensWith = () => parseSealedRoot(store.meta.get('root-key')!).sealed.map(one => one.kek)
const events = () => store.audit.map(({ event, data }) => [event, JSON.parse(data)])

async function expectOpenWith(...keks: Kek[]): Promise<void> {
  for (const kek of [first, second, third]) {
    const opened = ringWith(kek).then(ring => Buffer.from(ring.open(sealed, bind)).toString())
    if (keks.includes(kek)) expect(await opened).toBe('of before')
    else await expect(opened).rejects.toMatchObject({ code: 'kek_wrong' })
  }
}

describe.each(['a ledger with a root key', 'a ledger of before root keys'])('%s', kind => {
  beforeEach(async () => {
    store = keyLedger()
    if (kind.includes('before'))
      store.meta.set('kek-canary', sealCanary(createKeyring({ root: first, random })))
    sealed = (await ringWith(first)).seal('of before', bind)
  })

  test('opens with both keys between the steps, and with the new one alone after them', async () => {
    const before = await ringWith(first)
    const [mac, hash] = [before.mac('task', { id: 't' }), before.tokenHash('mft_x')]
    expect(await rotate(first, second)).toEqual({ changed: true, besides: first.id })
    await expectOpenWith(first, second)
    expect((await openKeyring({ ledger: store.ledger, kek: first, random })).rotation).toEqual({
      ...{ from: first.id, to: second.id },
    })

    expect(await finish(second)).toEqual({ gone: first.id, wasRoot: kind.includes('before') })
    await expectOpenWith(second)
    const after = await ringWith(second)
    expect(after.verifyMac('task', { id: 't' }, mac)).toBe(true)
    expect(after.tokenHash('mft_x')).toBe(hash)
    await expect(ringWith(first)).rejects.toThrow(
      `any more: it was rotated. kek_file holds ${first.id}, and it is sealed under key ${second.id} since 2026-11-22`,
    )
    const keys = { from: first.id, to: second.id }
    expect(events()).toEqual([
      ['kek.sealed', keys],
      ['kek.retired', keys],
    ])
  })

  test('is rotated as often as one likes, with what was sealed at first', async () => {
    await rotate(first, second)
    await finish(second)
    await rotate(second, third)
    await expectOpenWith(second, third)
    await finish(third)
    await expectOpenWith(third)
  })

  test('each step can be repeated, and changes nothing the second time', async () => {
    await rotate(first, second)
    const between = new Map(store.meta)
    for (const kek of [first, second])
      expect(await rotate(kek, second)).toEqual({ changed: false, besides: first.id })
    expect(store.meta).toEqual(between)
    await finish(second)
    const after = new Map(store.meta)
    expect(await finish(second)).toBeUndefined()
    // With the file of the old key still there.
    for (const kek of [first, second])
      expect(await rotate(kek, second)).toEqual({ changed: false, besides: undefined })
    expect(store.meta).toEqual(after)
    expect(store.audit).toHaveLength(2)
  })

  test('opens with what it opened with, at whatever statement either step dies', async () => {
    const steps = [
      { run: () => rotate(first, second), before: [first], after: [first, second] },
      { run: () => finish(second), before: [first, second], after: [second] },
    ]
    for (const { run, before, after } of steps) {
      let n = 0
      for (; n < 10; n += 1) {
        const died = await dyingAt(n, run)
        if (!died) break
        await expectOpenWith(...before)
      }
      expect(n).toBe(2)
      await expectOpenWith(...after)
    }
  })

  test('is not rotated by a key that does not open it, nor to a third under way', async () => {
    await expect(rotate(second, third)).rejects.toMatchObject({ code: 'kek_wrong' })
    await expect(finish(second)).rejects.toMatchObject({ code: 'kek_wrong' })
    expect(await finish(first)).toBeUndefined()
    expect(await rotate(first, first)).toEqual({ changed: false, besides: undefined })
    await rotate(first, second)
    await expect(rotate(first, third)).rejects.toMatchObject({ code: 'kek_rotating' })
    await expect(rotate(first, third)).rejects.toThrow('mayfly kek rotate --finish')
    await expectOpenWith(first, second)
  })

  test('is not finished with the old key, unless the rotation is turned round', async () => {
    await rotate(first, second)
    await expect(finish(first)).rejects.toThrow(`still holds key ${first.id}`)
    expect(await rotate(second, first)).toEqual({ changed: true, besides: second.id })
    expect(opensWith()).toEqual([second.id, first.id])
    await expect(finish(second)).rejects.toMatchObject({ code: 'kek_rotating' })
    expect(await finish(first)).toEqual({ gone: second.id, wasRoot: false })
    await expectOpenWith(first)
  })

  test('of two that rotate at once to different keys, one does', async () => {
    const both = await Promise.allSettled([rotate(first, second), rotate(first, third)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(opensWith()).toHaveLength(2)
    expect(store.audit).toHaveLength(1)
  })
})

test('a ledger that nothing was sealed in is not rotated', async () => {
  store = keyLedger()
  await expect(rotate(first, second)).rejects.toThrow('Nothing is sealed in this ledger yet')
  expect(store.meta.size).toBe(0)
})

test('a key that somebody else wrote in as the new one is not believed', async () => {
  store = keyLedger()
  await ringWith(first)
  const row = parseSealedRoot(store.meta.get('root-key')!)
  const forged = { ...row.sealed[0]!, kek: second.id }
  store.meta.set('root-key', JSON.stringify({ ...row, sealed: [...row.sealed, forged] }))
  await expect(rotate(first, second)).rejects.toMatchObject({ code: 'root_wrong' })
  await expect(finish(second)).rejects.toMatchObject({ code: 'root_wrong' })
  expect(opensWith()).toEqual([first.id, second.id])
})

/** The process dies at the n-th statement of a transaction, which is then never committed. @returns whether it did */
async function dyingAt(n: number, run: () => Promise<unknown>): Promise<boolean> {
  const { ledger, meta } = store
  const before = new Map(meta)
  let statements = 0
  const dying = (tx: LedgerWrite) =>
    new Proxy(tx, {
      get(of, name, receiver) {
        const operation = Reflect.get(of, name, receiver)
        if (typeof operation !== 'function') return operation
        return async (...given: unknown[]) => {
          if (statements++ === n) throw new Error('killed')
          return operation(...given)
        }
      },
    })
  store.ledger = { ...ledger, write: body => ledger.write(tx => body(dying(tx))) }
  try {
    await run()
    return false
  } catch (error) {
    expect(error).toMatchObject({ message: 'killed' })
    meta.clear()
    for (const [key, value] of before) meta.set(key, value)
    return true
  } finally {
    store.ledger = ledger
  }
}
