/** The stand-in without a socket, its clock and randomness owned by the test, as a simulation owns them. */
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import { describe, expect, test } from 'vitest'
import { type Aws, createAws } from './aws.ts'
import { BROKER, onlyAllow } from './fixture.ts'

const START = Date.parse('2026-01-31T12:00:00.700Z')

/** Counting bytes: the same sequence in every run. */
function countingRandom() {
  let next = 0
  return (length: number) => Uint8Array.from({ length }, () => next++ % 256)
}

function start(rolePolicy: object): { aws: Aws; clock: { now: number }; arn: string } {
  const clock = { now: START }
  const aws = createAws({ now: () => clock.now, random: countingRandom() })
  const { arn: broker } = aws.addUser({ name: 'broker', ...BROKER })
  const { arn } = aws.addRole({ name: 'deploy', trusts: [broker], policy: rolePolicy })
  return { aws, clock, arn }
}

type SdkRequest = { method: string; path: string; headers: Record<string, string>; body?: string }

/** AssumeRole by the real SDK, its requests handed to the stand-in as they are. */
async function assume({ aws, clock, arn }: ReturnType<typeof start>, Policy?: string): Promise<void> {
  const client = new STSClient({
    endpoint: 'http://aws.test',
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: BROKER,
    systemClockOffset: clock.now - Date.now(),
    requestHandler: {
      async handle({ method, path, headers, body }: SdkRequest) {
        const request = new Request(`http://aws.test${path}`, { method, headers, body: body ?? null })
        const response = await aws.handle(request)
        return {
          response: {
            statusCode: response.status,
            headers: Object.fromEntries(response.headers),
            body: new Uint8Array(await response.arrayBuffer()),
          },
        }
      },
    },
  })
  const input = { RoleArn: arn, RoleSessionName: 'lse_1', ...(Policy !== undefined && { Policy }) }
  await client.send(new AssumeRoleCommand(input))
}

describe('the truth of every session', () => {
  test('the same clock and randomness give the same credentials', async () => {
    const runs = []
    for (let run = 0; run < 2; run++) {
      const world = start(JSON.parse(onlyAllow('s3:*', '*')))
      await assume(world)
      await assume(world, onlyAllow('s3:GetObject', '*'))
      runs.push(world.aws.credentials())
    }
    expect(runs[0]).toHaveLength(2)
    expect(runs[0]).toEqual(runs[1])
  })

  test('times are whole seconds, and a session is dead at its expiry', async () => {
    const world = start(JSON.parse(onlyAllow('s3:*', '*')))
    await assume(world)
    const expiresAt = Date.parse('2026-01-31T13:00:00Z')
    expect(world.aws.credentials()).toMatchObject([
      { issuedAt: expiresAt - 3_600_000, expiresAt, alive: true },
    ])
    world.clock.now = expiresAt - 1
    expect(world.aws.credentials()).toMatchObject([{ alive: true }])
    world.clock.now = expiresAt
    expect(world.aws.credentials()).toMatchObject([{ alive: false }])
  })

  const anything = { Effect: 'Allow', Action: '*', Resource: '*' }
  const rows: [string, object, string | undefined, boolean][] = [
    ['a role that allows all', [anything], undefined, true],
    ['wildcards that meet in one action', [allow('s3:Get*')], onlyAllow('s3:*Object', '*'), true],
    ['an action of another service', [allow('dynamodb:PutItem')], onlyAllow('dynamodb:*', '*'), true],
    ['one object', [allow('s3:*')], onlyAllow('s3:GetObject', 'arn:aws:s3:::b/k'), true],
    ['actions that do not meet', [allow('s3:Get*')], onlyAllow('s3:Put*', '*'), false],
    ['services that do not meet', [allow('s3:*')], onlyAllow('ec2:*', '*'), false],
    ['all but one action', [{ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }], undefined, true],
    ['a deny beside the allow', [anything, { ...anything, Effect: 'Deny' }], undefined, false],
    [
      'a deadline that has passed',
      [anything],
      onlyAllow('*', '*', { DateLessThan: { 'aws:CurrentTime': '2026-01-31T12:00:00Z' } }),
      false,
    ],
    [
      'a deadline within this very second is still ahead',
      [anything],
      onlyAllow('*', '*', { DateLessThan: { 'aws:CurrentTime': '2026-01-31T12:00:00.500Z' } }),
      true,
    ],
  ]
  test.each(rows)('%s', async (_name, Statement, policy, alive) => {
    const world = start({ Version: '2012-10-17', Statement })
    await assume(world, policy)
    expect(world.aws.credentials()).toMatchObject([{ alive }])
  })

  test('latency is waited by the sleep that was passed in, before the effect', async () => {
    const slept: number[] = []
    const clock = { now: START }
    const sleep = async (ms: number) => {
      slept.push(ms)
      clock.now += ms
    }
    const aws = createAws({ now: () => clock.now, random: countingRandom(), sleep })
    const { arn: broker } = aws.addUser({ name: 'broker', ...BROKER })
    const policy = JSON.parse(onlyAllow('s3:*', '*'))
    const { arn } = aws.addRole({ name: 'deploy', trusts: [broker], policy })
    aws.latencyMs = 1500
    await assume({ aws, clock, arn })
    expect(slept).toEqual([1500])
    expect(aws.credentials()).toMatchObject([{ issuedAt: Date.parse('2026-01-31T12:00:02Z') }])
  })
})

function allow(Action: string) {
  return { Effect: 'Allow', Action, Resource: '*' }
}
