import { GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BROKER, Fixture, type Keys, refusal } from './fixture.ts'

const MINUTE = 60_000

let fixture: Fixture
beforeEach(async () => {
  fixture = await Fixture.start()
})
afterEach(() => fixture.aws.close())

const whoAmI = (keys: Keys) => fixture.sts(keys).send(new GetCallerIdentityCommand({}))

describe('signature version 4', () => {
  const rows: [string, Keys, string, number][] = [
    ['wrong secret', { ...BROKER, secretAccessKey: 'other' }, 'SignatureDoesNotMatch', 403],
    ['unknown key', { ...BROKER, accessKeyId: 'AKIANOBODY0000000000' }, 'InvalidClientTokenId', 403],
    ['a token beside a long-lived key', { ...BROKER, sessionToken: 'x' }, 'InvalidClientTokenId', 403],
  ]
  test.each(rows)('STS, %s', async (_name, keys, code, status) => {
    expect(await refusal(whoAmI(keys))).toMatchObject({ code, status })
  })

  test('a request without a signature is refused by every service in its own words', async () => {
    const form = (body: string) =>
      fetch(fixture.aws.url, { method: 'POST', body: new URLSearchParams(body) }).then(async response => ({
        status: response.status,
        code: /<Code>(\w+)</.exec(await response.text())?.[1],
      }))
    const missing = { status: 403, code: 'MissingAuthenticationToken' }
    expect(await form('Action=GetCallerIdentity&Version=2011-06-15')).toEqual(missing)
    expect(await form('Action=GetRole&Version=2010-05-08')).toEqual(missing)
    expect(await form('Action=DescribeRegions&Version=2016-11-15')).toEqual(missing)
    const object = await fetch(`${fixture.aws.url}/artifacts/build.txt`)
    expect([object.status, await object.text()]).toEqual([403, expect.stringContaining('AccessDenied')])
  })

  test.each([
    [-15, 1],
    [15, 1],
    [-5, 1 / 3],
    [5, 1 / 3],
  ])('a signature is good for %i minutes either way and no longer', async (minutes, share) => {
    fixture.aws.signatureWindowMs *= share
    const skewed = fixture.sts()
    fixture.clock.aheadMs = minutes * 1.1 * MINUTE
    const refused = await refusal(skewed.send(new GetCallerIdentityCommand({})))
    expect(refused).toMatchObject({ code: 'SignatureDoesNotMatch', status: 403 })
    expect(refused.message).toContain('Signature expired or not yet current')
    const near = fixture.sts()
    fixture.clock.aheadMs += minutes * 0.9 * MINUTE
    await near.send(new GetCallerIdentityCommand({}))
  })

  test('answers carry the stand-in clock, which the SDK follows', async () => {
    fixture.clock.aheadMs = 60 * MINUTE
    const { headers } = await fetch(fixture.aws.url)
    const ahead = Date.parse(headers.get('date') ?? '') - Date.now()
    expect(ahead).toBeGreaterThan(59 * MINUTE)
  })

  test('a session key needs its own token, whole', async () => {
    const keys = await fixture.assume()
    const { sessionToken: _token, ...bare } = keys
    const tampered = { ...keys, sessionToken: `A${keys.sessionToken?.slice(1)}x` }
    expect(await refusal(whoAmI(bare))).toMatchObject({ code: 'InvalidClientTokenId', status: 403 })
    expect(await refusal(whoAmI(tampered))).toMatchObject({ code: 'InvalidClientTokenId', status: 403 })
    expect(await refusal(fixture.read(tampered))).toMatchObject({ code: 'InvalidToken', status: 400 })
    expect(await refusal(fixture.read(bare))).toMatchObject({ code: 'InvalidAccessKeyId', status: 403 })
    expect(await fixture.describeRegions(tampered, true)).toMatchObject({ status: 401 })
  })

  test('an expired session, by service', async () => {
    const keys = await fixture.assume({ DurationSeconds: 900 })
    fixture.clock.aheadMs = 15 * MINUTE + 1000
    expect(await refusal(whoAmI(keys))).toMatchObject({ code: 'ExpiredToken', status: 403 })
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'ExpiredToken', status: 400 })
    const regions = await fixture.describeRegions(keys, true)
    expect(regions).toEqual({ status: 400, body: expect.stringContaining('<Code>RequestExpired</Code>') })
    expect(fixture.alive()).toEqual([])
  })
})
