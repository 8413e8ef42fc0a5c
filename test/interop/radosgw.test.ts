/** What the `aws-sts` issuer relies on, shown by an implementation of STS that is not ours. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  assumeRole,
  BROKER,
  denyRole,
  fillBucket,
  iso,
  onlyAllow,
  read,
  roleId,
  secondsAhead,
  statusOf,
  undeny,
  untilStatus,
  write,
} from './radosgw.ts'

const BUILD = 'arn:aws:s3:::artifacts/build.txt'

beforeAll(fillBucket)

describe('who asks', () => {
  test.each([
    ['a wrong secret', { ...BROKER, secretAccessKey: 'wrong' }],
    ['an unknown key', { ...BROKER, accessKeyId: 'AKIANOBODY0000000000' }],
  ])('%s is refused', async (_name, keys) => {
    expect(await statusOf(assumeRole({}, keys))).toBe(403)
  })

  test.each([
    ['a session shorter than a quarter of an hour', { DurationSeconds: 899 }],
    ['a session longer than the role allows', { DurationSeconds: 7200 }],
    ['a session policy that is no JSON', { Policy: '{not json' }],
    ['a session name with a space', { RoleSessionName: 'a b!' }],
  ])('%s is refused', async (_name, input) => {
    expect(await statusOf(assumeRole(input))).toBe(400)
  })

  test('without its session token, or with another, a session key is of no use', async () => {
    const { sessionToken = '', ...keys } = await assumeRole()
    expect(await statusOf(read(keys))).toBe(403)
    const tampered = (sessionToken.startsWith('A') ? 'B' : 'A') + sessionToken.slice(1)
    expect([400, 403]).toContain(await statusOf(read({ ...keys, sessionToken: tampered })))
    expect(await statusOf(read({ ...keys, sessionToken }))).toBe(200)
  })
})

describe('a session policy', () => {
  test('cuts the role down to one action on one object', async () => {
    const keys = await assumeRole({ Policy: onlyAllow('s3:GetObject', BUILD) })
    expect(await read(keys)).toBe('hello')
    expect(await statusOf(read(keys, 'other.txt'))).toBe(403)
    expect(await statusOf(write(keys, 'build.txt'))).toBe(403)
    const whole = await assumeRole()
    expect(await statusOf(write(whole, 'other.txt'))).toBe(200)
  })

  test('with a deadline ends the session there, long before its expiry', async () => {
    const deadline = secondsAhead(2)
    const condition = { DateLessThan: { 'aws:CurrentTime': iso(deadline) } }
    const keys = await assumeRole({ Policy: onlyAllow('s3:GetObject', BUILD, condition) })
    expect(await read(keys)).toBe('hello')
    await untilStatus(403, () => read(keys))
    expect(Date.now()).toBeGreaterThanOrEqual(deadline)
    const neighbour = await assumeRole({ Policy: onlyAllow('s3:GetObject', BUILD) })
    expect(await read(neighbour)).toBe('hello')
  })

  test('whose deadline has passed gives a session that is of no use from the start', async () => {
    const condition = { DateLessThan: { 'aws:CurrentTime': iso(secondsAhead(-60)) } }
    const keys = await assumeRole({ Policy: onlyAllow('s3:GetObject', BUILD, condition) })
    expect(await statusOf(read(keys))).toBe(403)
  })
})

describe('a deny on the role', () => {
  const policy = `mayfly-${randomUUID()}`
  afterEach(() => undeny(policy))

  test('on aws:TokenIssueTime ends every older session at once, and no younger one', async () => {
    const old = await assumeRole()
    expect(await read(old)).toBe('hello')
    await denyRole(policy, { DateLessThan: { 'aws:TokenIssueTime': iso(secondsAhead(1)) } })
    expect(await statusOf(read(old))).toBe(403)
    await untilStatus(200, async () => read(await assumeRole()))
    expect(await statusOf(read(old))).toBe(403)
  })

  test('on aws:userid ends one session and leaves its neighbour', async () => {
    const first = await assumeRole({ RoleSessionName: 'lse_1' })
    const second = await assumeRole({ RoleSessionName: 'lse_2' })
    await denyRole(policy, { StringEquals: { 'aws:userid': [`${await roleId()}:lse_1`] } })
    expect(await statusOf(read(first))).toBe(403)
    expect(await read(second)).toBe('hello')
  })
})
