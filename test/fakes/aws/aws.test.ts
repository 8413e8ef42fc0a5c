import { GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Fixture, type Keys, onlyAllow, refusal } from './fixture.ts'

const MINUTE = 60_000
const OBJECTS = 'arn:aws:s3:::artifacts/*'

let fixture: Fixture
beforeEach(async () => {
  fixture = await Fixture.start()
})
afterEach(() => fixture.aws.close())

const whoAmI = (keys: Keys) => fixture.sts(keys).send(new GetCallerIdentityCommand({}))

describe('what a session may do', () => {
  test('role policy and session policy must both allow', async () => {
    const keys = await fixture.assume({ Policy: onlyAllow('s3:GetObject', '*') })
    expect(await fixture.read(keys)).toBe('hello')
    fixture.aws.putObject('private', 'x', 'x')
    expect(await refusal(fixture.read(keys, 'x', 'private'))).toMatchObject({ code: 'AccessDenied' })
    const written = await refusal(fixture.write(keys, 'new.txt', 'x'))
    expect(written).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(written.message).toContain('no session policy allows the s3:PutObject action')
    expect(await refusal(fixture.remove(keys, 'build.txt'))).toMatchObject({ code: 'AccessDenied' })
  })

  test('without a session policy it may do what the role may: write, read back, delete', async () => {
    const keys = await fixture.assume()
    const key = "odd name/+é(1)*'.txt"
    await fixture.write(keys, key, Buffer.from([0, 255, 10]))
    expect(await fixture.read(keys, key)).toBe(Buffer.from([0, 255, 10]).toString())
    await fixture.remove(keys, key)
    expect(await refusal(fixture.read(keys, key))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(await refusal(fixture.read(keys, 'x', 'artifact'))).toMatchObject({ status: 403 })
  })

  test('a deadline in the session policy ends it before its expiry', async () => {
    const deadline = new Date(Date.now() + 2 * MINUTE).toISOString().replace(/\.\d+Z$/, 'Z')
    const condition = { DateLessThan: { 'aws:CurrentTime': deadline } }
    const keys = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS, condition) })
    expect(await fixture.read(keys)).toBe('hello')
    expect(fixture.alive()).toEqual([keys.accessKeyId])
    fixture.clock.aheadMs = 2 * MINUTE
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(fixture.alive()).toEqual([])
    await whoAmI(keys)
  })

  test('an EC2 dry run tells whether the call would be allowed', async () => {
    const keys = await fixture.assume()
    const none = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS) })
    const dry = await fixture.describeRegions(keys, true)
    expect(dry).toEqual({ status: 412, body: expect.stringContaining('<Code>DryRunOperation</Code>') })
    const refused = { status: 403, body: expect.stringContaining('<Code>UnauthorizedOperation</Code>') }
    expect(await fixture.describeRegions(none, true)).toEqual(refused)
    expect(await fixture.describeRegions(none, false)).toEqual(refused)
    const real = await fixture.describeRegions(keys, false)
    expect(real).toEqual({ status: 200, body: expect.stringContaining('<regionName>eu-central-1</') })
  })
})

describe('faults', () => {
  test('a lost answer leaves a live session that the caller was never told of', async () => {
    fixture.aws.faults = ({ operation, when }) =>
      operation === 'AssumeRole' && when === 'after' ? 'drop' : 'ok'
    await expect(fixture.assume()).rejects.toThrow()
    expect(fixture.alive()).toHaveLength(1)
  })

  test('a lost request leaves nothing, and a status is answered in place of the effect', async () => {
    fixture.aws.faults = () => 'drop'
    await expect(fixture.assume()).rejects.toThrow()
    fixture.aws.faults = ({ when }) => (when === 'before' ? { status: 503 } : 'ok')
    expect(await refusal(fixture.assume())).toMatchObject({ status: 503 })
    expect(fixture.aws.credentials()).toEqual([])
  })
})
