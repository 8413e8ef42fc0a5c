import { expect, test } from 'vitest'
import { Credential } from '../../src/client/credential.ts'
import { holdCredentials } from '../../src/client/held-credentials.ts'

const MINUTE = 60_000

/** Credentials that live so long, of a task that ends at `deadline`. */
function holder({ lifeMs, deadline = 600 * MINUTE }: { lifeMs: number; deadline?: number }) {
  const it = { now: 0, minted: 0, fails: false }
  const held = holdCredentials({
    now: () => it.now,
    deadline: () => deadline,
    async mint(ask) {
      it.minted += 1
      if (it.fails) throw new Error('no')
      const expiresAt = new Date(Math.min(it.now + lifeMs, deadline))
      const answer = {
        issuer: 'x',
        authorizationDetails: { type: 'x' },
        revocability: 'immediate',
        details: {},
      }
      const lease = `${ask} ${it.minted}`
      return new Credential(
        { type: 'x' },
        { ...answer, ask, lease, expiresAt, providerExpiresAt: expiresAt, credential: 's' },
      )
    },
  })
  const get = async (atLeastMs = MINUTE) => (await held.get('a', { atLeastMs })).lease
  return { it, held, get }
}

test('the one held is handed out for as long as it has so much life left', async () => {
  const { it, get } = holder({ lifeMs: 15 * MINUTE })
  expect(await get()).toBe('a 1')
  it.now = 14 * MINUTE
  expect(await get()).toBe('a 1')
  expect(await get(2 * MINUTE)).toBe('a 2')
  it.now += 14 * MINUTE + 1
  expect(await get()).toBe('a 3')
})

test('life that is never given is not asked for at every call', async () => {
  const { it, get } = holder({ lifeMs: 4 * MINUTE })
  expect(await get(30 * MINUTE)).toBe('a 1')
  expect(await get(30 * MINUTE)).toBe('a 1')
  it.now = 2 * MINUTE + 1
  expect(await get(30 * MINUTE)).toBe('a 2')
})

test('nothing outlives the task: one that lasts as long is not replaced, and a dead one is', async () => {
  const { it, get } = holder({ lifeMs: 60 * MINUTE, deadline: 10 * MINUTE })
  expect(await get(30 * MINUTE)).toBe('a 1')
  it.now = 10 * MINUTE - 1
  expect(await get(30 * MINUTE)).toBe('a 1')
  it.now += 1
  expect(await get()).toBe('a 2')
})

test('a mint that failed is told to whoever waited, and tried anew by the next', async () => {
  const { it, get } = holder({ lifeMs: 15 * MINUTE })
  it.fails = true
  const both = await Promise.allSettled([get(), get()])
  expect([both.map(one => one.status), it.minted]).toEqual([['rejected', 'rejected'], 1])
  it.fails = false
  expect(await get()).toBe('a 2')
})

test('what comes after the end is not kept', async () => {
  const { held, get } = holder({ lifeMs: 15 * MINUTE })
  const minting = get()
  held.drop()
  expect([await minting, await get()]).toEqual(['a 1', 'a 2'])
})
