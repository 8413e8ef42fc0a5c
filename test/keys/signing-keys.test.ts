import { createLocalJWKSet, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { kekOf } from '../../src/keys/kek.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { createSigningKeys, type SigningKeys } from '../../src/keys/signing-keys.ts'
import { LIMITS } from '../../src/limits.ts'
import { keyLedger } from './key-ledger.ts'
import { seededRandom } from './seeded-random.ts'

const rotation = { rotateAfterMs: 1_000_000, publishAheadMs: 10_000, longestTokenMs: 900_000 }
const overlapMs = rotation.longestTokenMs + LIMITS.signingKeyRefreshMs + LIMITS.clockSkewMs
const keyring = createKeyring({ root: kekOf(new Uint8Array(32).fill(3)), random: seededRandom('ring') })

const broker = (store: ReturnType<typeof keyLedger>, name = 'broker'): SigningKeys =>
  createSigningKeys({
    ledger: store.ledger,
    keyring,
    random: seededRandom(name),
    rotation,
    purpose: 'task-jwt',
  })

async function started(name?: string) {
  const store = keyLedger()
  const keys = broker(store, name)
  await keys.ensure()
  return { ...store, store, keys }
}

const kids = (keys: SigningKeys) =>
  keys
    .jwks()
    .keys.map(({ kid }) => kid)
    .sort()
const kidOf = (jwt: string) =>
  JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).kid as string

describe('ensure', () => {
  test('makes a signing key and a next one, both published', async () => {
    const { keys, inState } = await started()
    expect(inState('signing')).toHaveLength(1)
    expect(inState('next')).toHaveLength(1)
    expect(keys.jwks().keys).toHaveLength(2)
    for (const key of keys.jwks().keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    }
  })

  test('finds them again, in another broker too', async () => {
    const { keys, store } = await started()
    const other = broker(store, 'other')
    await Promise.all([keys.ensure(), other.ensure()])
    expect(kids(other)).toEqual(kids(keys))
    expect(store.rows.size).toBe(2)
  })

  test('two brokers that start at once end with the same two keys', async () => {
    const store = keyLedger()
    const [one, two] = [broker(store, 'one'), broker(store, 'two')]
    await Promise.all([one.ensure(), two.ensure()])
    expect(kids(one)).toEqual(kids(two))
    expect(store.rows.size).toBe(2)
  })

  test('makes none in a ledger whose keys are gone', async () => {
    const { rows, store } = await started()
    rows.clear()
    await expect(broker(store, 'late').ensure()).rejects.toMatchObject({ code: 'signing_key_missing' })
    expect(rows.size).toBe(0)
  })

  test('the private part is readable neither in the public column nor in the sealed one', async () => {
    const { rows } = await started()
    for (const row of rows.values()) {
      expect(row.public_jwk).not.toContain('"d"')
      const bind = { row: row.kid, column: 'signing_keys.sealed_private' }
      const d = Buffer.from(keyring.open(row.sealed_private, bind))
      expect(d).toHaveLength(32)
      expect(Buffer.from(row.sealed_private).includes(d)).toBe(false)
    }
  })

  test('the same randomness gives the same keys', async () => {
    expect(kids((await started('seed')).keys)).toEqual(kids((await started('seed')).keys))
  })
})

describe('sign and verify', () => {
  test('jose verifies what is signed, with alg, typ and kid in the header', async () => {
    const { keys, inState } = await started()
    const jwt = await keys.sign('at+jwt', { sub: 'agent', jti: 'lse_1' })
    const { payload, protectedHeader } = await jwtVerify(jwt, createLocalJWKSet(keys.jwks()))
    expect(payload).toEqual({ sub: 'agent', jti: 'lse_1' })
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: inState('signing')[0]?.kid })
    expect(keys.verify(jwt)).toEqual({ typ: 'at+jwt', kid: kidOf(jwt), claims: payload })
  })

  test('what is signed for one purpose does not verify for another', async () => {
    const { store, keys } = await started()
    const receipts = createSigningKeys({
      ...{ ledger: store.ledger, keyring, random: seededRandom('receipts'), rotation },
      purpose: 'receipt',
    })
    await receipts.ensure()
    expect(kids(receipts).filter(kid => kids(keys).includes(kid))).toEqual([])
    const receipt = await receipts.sign('at+jwt', { sub: 'agent' })
    expect(receipts.verify(receipt)).toBeDefined()
    expect(keys.verify(receipt)).toBeUndefined()
    expect(receipts.verify(await keys.sign('at+jwt', { sub: 'agent' }))).toBeUndefined()
  })

  test('refuses to sign before the keys are read', async () => {
    await expect(broker(keyLedger()).sign('at+jwt', {})).rejects.toMatchObject({
      code: 'signing_key_missing',
    })
  })

  test('every signature has one spelling: low s, canonical base64url', async () => {
    const { keys } = await started()
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    for (let i = 0; i < 20; i++) {
      const jwt = await keys.sign('at+jwt', { i })
      const [header, payload, signature = ''] = jwt.split('.')
      const bytes = Buffer.from(signature, 'base64url')
      const s = BigInt(`0x${bytes.toString('hex', 32)}`)
      expect(s <= order / 2n).toBe(true)
      const twin = Buffer.concat([
        bytes.subarray(0, 32),
        Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'),
      ])
      expect(keys.verify(`${header}.${payload}.${twin.toString('base64url')}`)).toBeUndefined()
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      const spellings = [...alphabet].filter(last => keys.verify(jwt.slice(0, -1) + last) !== undefined)
      expect(spellings).toEqual([jwt.at(-1)])
    }
  })

  test('refuses everything that no published key signed', async () => {
    const { keys } = await started('ours')
    const jwt = await keys.sign('at+jwt', { sub: 'agent' })
    const [header = '', payload = '', signature = ''] = jwt.split('.')
    const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const kid = kidOf(jwt)
    const foreign = await (await started('theirs')).keys.sign('at+jwt', { sub: 'agent' })
    const forged = [
      '',
      '..',
      'a.b.c',
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${jwt}=`,
      ` ${jwt}`,
      `${jwt}\n`,
      `${jwt}.${signature}`,
      `${header}.${segment({ sub: 'admin' })}.${signature}`,
      `${segment({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`,
      `${segment({ alg: 'HS256', typ: 'at+jwt', kid })}.${payload}.${signature}`,
      `${segment({ alg: 'ES256', typ: 'JWT', kid })}.${payload}.${signature}`,
      `${segment({ alg: 'ES256', typ: 'at+jwt', kid: 'other' })}.${payload}.${signature}`,
      `${segment({ alg: 'ES256', typ: 'at+jwt', kid, jku: 'https://evil.test' })}.${payload}.${signature}`,
      `${segment({ alg: 'ES256', typ: 'at+jwt' })}.${payload}.${signature}`,
      `${segment(null)}.${payload}.${signature}`,
      foreign,
      `${jwt}${'A'.repeat(LIMITS.jwtBytes)}`,
    ]
    for (const text of forged) expect(keys.verify(text), text.slice(0, 80)).toBeUndefined()
  })
})

describe('rotate', () => {
  test('does nothing before the signing key is old enough', async () => {
    const { keys, advance } = await started()
    const before = kids(keys)
    advance(rotation.rotateAfterMs - 1)
    expect(await keys.rotate()).toBe(false)
    expect(kids(keys)).toEqual(before)
  })

  test('a key signs only after it has been published long enough', async () => {
    const store = keyLedger()
    const keys = createSigningKeys({
      ...{ ledger: store.ledger, keyring, random: seededRandom('ahead') },
      rotation: { ...rotation, rotateAfterMs: 10, publishAheadMs: 5_000 },
      purpose: 'task-jwt',
    })
    await keys.ensure()
    store.advance(4_999)
    expect(await keys.rotate()).toBe(false)
    store.advance(1)
    expect(await keys.rotate()).toBe(true)
  })

  test('overlaps: what the old key signed verifies until its last token is past, and not after', async () => {
    const { keys, advance, inState } = await started()
    const publishedBefore = kids(keys)
    const old = await keys.sign('at+jwt', { n: 1 })
    advance(rotation.rotateAfterMs)
    expect(await keys.rotate()).toBe(true)

    const fresh = await keys.sign('at+jwt', { n: 2 })
    expect(kidOf(fresh)).not.toBe(kidOf(old))
    expect(publishedBefore).toContain(kidOf(fresh))
    expect(keys.jwks().keys).toHaveLength(3)
    await jwtVerify(old, createLocalJWKSet(keys.jwks()))
    expect(inState('published')[0]?.superseded_at).toBe(inState('signing')[0]?.signing_from)

    advance(overlapMs - 1)
    await keys.rotate()
    expect(keys.verify(old)?.claims).toEqual({ n: 1 })

    advance(1)
    await keys.rotate()
    expect(keys.verify(old)).toBeUndefined()
    expect(kids(keys)).not.toContain(kidOf(old))
    expect(inState('retired').map(({ kid }) => kid)).toEqual([kidOf(old)])
    expect(keys.verify(fresh)?.claims).toEqual({ n: 2 })
  })

  test('of brokers that rotate at once one does, and each follows on refresh', async () => {
    const { keys, store, advance, inState } = await started('one')
    const other = broker(store, 'two')
    await other.ensure()
    advance(rotation.rotateAfterMs)
    const won = await Promise.all([keys.rotate(), other.rotate()])
    expect(won.filter(Boolean)).toHaveLength(1)
    expect(inState('signing')).toHaveLength(1)
    expect(inState('next')).toHaveLength(1)
    expect(inState('published')).toHaveLength(1)
    expect(kids(keys)).toEqual(kids(other))
  })

  test('a broker that has not refreshed signs with the old key, and the others still verify it', async () => {
    const { keys, store, advance } = await started('one')
    const late = broker(store, 'late')
    await late.ensure()
    advance(rotation.rotateAfterMs)
    await keys.rotate()
    const jwt = await late.sign('at+jwt', {})
    expect(keys.verify(jwt)).toBeDefined()
    // And what the rotated broker signs is known to the one that has not seen the rotation.
    expect(late.verify(await keys.sign('at+jwt', {}))).toBeDefined()
  })

  test('goes on for many rounds with never fewer than two keys published', async () => {
    const { keys, advance, rows } = await started()
    for (let round = 1; round <= 5; round++) {
      advance(rotation.rotateAfterMs)
      expect(await keys.rotate()).toBe(true)
      expect(keys.jwks().keys.length).toBeGreaterThanOrEqual(2)
      expect(rows.size).toBe(2 + round)
    }
  })

  test('tells of every key that is made or moved', async () => {
    const { keys, advance, audit } = await started()
    advance(rotation.rotateAfterMs)
    await keys.rotate()
    const told = audit.map(({ event, data }) =>
      [event, JSON.parse(data).from, JSON.parse(data).to].join(' ').trim(),
    )
    expect(told).toEqual([
      'signing_key.created',
      'signing_key.created',
      'signing_key.moved next signing',
      'signing_key.moved signing published',
      'signing_key.created',
    ])
  })
})

describe('a database that was written to', () => {
  test.each(['public_jwk', 'created_at', 'sealed_private', 'mac', 'kid'] as const)(
    'an altered %s is refused, and the keys held stay as they were',
    async column => {
      const { keys, rows, inState } = await started()
      const [row] = inState('signing')
      const foreign = (await started('theirs')).inState('signing')[0]
      rows.set(row!.kid, { ...row!, [column]: column === 'created_at' ? 1 : foreign![column] })
      const before = kids(keys)
      await expect(keys.refresh()).rejects.toMatchObject({ code: 'signing_key_altered' })
      expect(kids(keys)).toEqual(before)
    },
  )

  test('a key put there without the KEK is refused', async () => {
    const stranger = createKeyring({ root: kekOf(new Uint8Array(32).fill(9)), random: seededRandom('s') })
    const theirs = keyLedger()
    const random = seededRandom('theirs')
    await createSigningKeys({
      ledger: theirs.ledger,
      keyring: stranger,
      random,
      rotation,
      purpose: 'task-jwt',
    }).ensure()
    const { keys, rows } = await started()
    for (const row of theirs.rows.values()) rows.set(row.kid, row)
    await expect(keys.refresh()).rejects.toMatchObject({ code: 'signing_key_altered' })
  })
})
