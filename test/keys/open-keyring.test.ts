import { beforeEach, describe, expect, test } from 'vitest'
import { sealCanary } from '../../src/keys/canary.ts'
import { type Kek, kekOf } from '../../src/keys/kek.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { isUnsealed, openKeyring } from '../../src/keys/open-keyring.ts'
import { parseSealedRoot, sealRoot } from '../../src/keys/root-key.ts'
import { keyLedger } from './key-ledger.ts'
import { seededRandom } from './seeded-random.ts'

const random = seededRandom('open keyring')
const kek = (byte: number) => kekOf(new Uint8Array(32).fill(byte))
let store: ReturnType<typeof keyLedger>
beforeEach(() => {
  store = keyLedger()
})

const open = (of: Kek, { ledger } = store) => openKeyring({ ledger, kek: of, random })
const standing = (of = store) => parseSealedRoot(of.meta.get('root-key')!)
const put = (value: object) => store.meta.set('root-key', JSON.stringify(value))

describe('a new ledger', () => {
  test('gets a root key of its own, which is neither its KEK nor another ledger’s', async () => {
    expect(await isUnsealed(store.ledger.read)).toBe(true)
    const { keyring, rotation } = await open(kek(1))
    expect(await isUnsealed(store.ledger.read)).toBe(false)
    expect(rotation).toBeUndefined()
    expect(keyring.rootId).not.toBe(kek(1).id)
    expect((await open(kek(1))).keyring.rootId).toBe(keyring.rootId)
    expect((await open(kek(1), keyLedger())).keyring.rootId).not.toBe(keyring.rootId)
    expect(standing().sealed).toMatchObject([{ kek: kek(1).id }])
  })

  test('opens with another KEK never, and says what holds it', async () => {
    await open(kek(1))
    const refused = open(kek(2))
    await expect(refused).rejects.toMatchObject({ code: 'kek_wrong' })
    await expect(refused).rejects.toThrow(
      `does not open this ledger: kek_file holds ${kek(2).id}, and it is sealed under key ${kek(1).id}`,
    )
  })

  test('of two brokers that start at once with different keys, one starts', async () => {
    const both = await Promise.allSettled([open(kek(1)), open(kek(2))])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('of two brokers that start at once with the same key, both have one root key', async () => {
    const [one, two] = await Promise.all([open(kek(1)), open(kek(1))])
    expect(one.keyring.rootId).toBe(two.keyring.rootId)
  })
})

describe('a ledger of before root keys', () => {
  beforeEach(() => {
    store.meta.set('kek-canary', sealCanary(createKeyring({ root: kek(1), random })))
  })

  test('opens with its KEK as its root key, and is left as it is', async () => {
    expect((await open(kek(1))).keyring.rootId).toBe(kek(1).id)
    expect(store.meta.has('root-key')).toBe(false)
  })

  test('refuses another key, and says what to do', async () => {
    await expect(open(kek(2))).rejects.toMatchObject({ code: 'kek_wrong' })
    await expect(open(kek(2))).rejects.toThrow('does not open this ledger. Sealed under key')
  })

  // A broker of the version before may have come first while this one was about to place its own.
  test('is not given a root key beside its canary', async () => {
    store.rows.clear()
    const before = store.meta.get('kek-canary')!
    store.meta.clear()
    const { read, write } = store.ledger
    const overtaken: typeof write = body => {
      store.meta.set('kek-canary', before)
      return write(body)
    }
    const ledger = { ...store.ledger, read, write: overtaken }
    expect((await openKeyring({ ledger, kek: kek(1), random })).keyring.rootId).toBe(kek(1).id)
    expect(store.meta.has('root-key')).toBe(false)
  })
})

describe('who writes to the database', () => {
  const attackers = kek(66)

  test('cannot put a root key of their own there', async () => {
    await open(kek(1))
    const { ledger, sealed } = standing()
    const [ours] = sealed
    const theirs = sealRoot(attackers, { kek: attackers, ledger, at: 1 }, random)
    const rows: [object, string][] = [
      // Sealed by a key that is not the KEK; the same under the KEK's name, header and all; without any seal.
      [{ ...standing(), sealed: [theirs] }, 'kek_wrong'],
      [{ ...standing(), sealed: [{ ...theirs, kek: kek(1).id }] }, 'root_wrong'],
      [{ ...standing(), sealed: [renamed(theirs, kek(1).id)] }, 'seal_broken'],
      [{ ...standing(), sealed: [{ ...ours, root_key: 'A'.repeat(43) }] }, 'seal_malformed'],
      [{ ...standing(), root_key: 'A'.repeat(43) }, 'seal_malformed'],
      [{ ...standing(), sealed: [] }, 'seal_malformed'],
      [{ ...standing(), sealed: [ours, theirs, theirs] }, 'seal_malformed'],
    ]
    for (const [row, code] of rows) {
      put(row)
      await expect(open(kek(1)), JSON.stringify(row)).rejects.toMatchObject({ code })
    }
  })

  test('cannot make a ledger one of before by taking its root key away', async () => {
    await open(kek(1))
    store.meta.delete('root-key')
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'kek_wrong' })
    store.meta.set('kek-canary', sealCanary(createKeyring({ root: attackers, random })))
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'kek_wrong' })
  })

  test('cannot bring the root key of another ledger that has the same KEK', async () => {
    await open(kek(1))
    const other = keyLedger()
    await open(kek(1), other)
    put({ ...standing(), sealed: standing(other).sealed })
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'seal_broken' })
    put(standing(other))
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'root_wrong' })
    await expect(open(kek(1))).rejects.toThrow('another ledger’s')
  })

  test('cannot pass what the KEK sealed in a ledger of before for a root key', async () => {
    const sealedBefore = createKeyring({ root: kek(1), random }).seal(new Uint8Array(32), {
      ...{ row: 'root-key '.padEnd(41, '0'), column: 'leases.sealed_secret' },
    })
    const root_key = Buffer.from(sealedBefore).toString('base64url')
    await open(kek(1))
    put({ ledger: '0'.repeat(32), sealed: [{ kek: kek(1).id, root_key, at: 1 }], former: null })
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'seal_broken' })
  })

  test('gets no new canary for one that they took away', async () => {
    await open(kek(1))
    store.meta.delete('kek-canary')
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'canary_missing' })
    store.meta.delete('root-key')
    store.rows.set('k', { kid: 'k', purpose: 'task-jwt' } as never)
    await expect(open(kek(1))).rejects.toMatchObject({ code: 'canary_missing' })
  })
})

/** Named in its seal's header, too, as sealed under this key. */
function renamed(one: { kek: string; root_key: string; at: number }, id: string): typeof one {
  const bytes = Buffer.from(one.root_key, 'base64url')
  bytes.write(id, 1, 'hex')
  return { ...one, kek: id, root_key: bytes.toString('base64url') }
}
