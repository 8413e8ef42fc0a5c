import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BROKER, denyAll, Fixture, type Keys, onlyAllow, refusal } from './fixture.ts'

const MINUTE = 60_000
const OBJECTS = 'arn:aws:s3:::artifacts/*'

let fixture: Fixture
beforeEach(async () => {
  fixture = await Fixture.start()
})
afterEach(() => fixture.aws.close())

const whoAmI = (keys: Keys) => fixture.sts(keys).send(new GetCallerIdentityCommand({}))

describe('STS AssumeRole', () => {
  test('gives a session with the shapes of AWS', async () => {
    const answer = await fixture.sts().send(
      new AssumeRoleCommand({
        RoleArn: fixture.role.arn,
        RoleSessionName: 'lse_1',
        DurationSeconds: 900,
        SourceIdentity: 'lse_1',
        Policy: onlyAllow('s3:GetObject', OBJECTS),
        Tags: [{ Key: 'mayfly:lease', Value: 'lse_1' }],
      }),
    )
    expect(answer).toMatchObject({
      Credentials: { AccessKeyId: expect.stringMatching(/^ASIA[A-Z2-7]{16}$/) },
      AssumedRoleUser: {
        AssumedRoleId: `${fixture.role.roleId}:lse_1`,
        Arn: 'arn:aws:sts::123456789012:assumed-role/deploy/lse_1',
      },
      SourceIdentity: 'lse_1',
    })
    expect(answer.PackedPolicySize).toBeGreaterThan(0)
    expect(answer.PackedPolicySize).toBeLessThan(15)
    const seconds = ((answer.Credentials?.Expiration?.getTime() ?? 0) - Date.now()) / 1000
    expect(Math.abs(seconds - 900)).toBeLessThan(10)
    const [credential] = fixture.aws.credentials()
    expect(credential).toMatchObject({
      accessKeyId: answer.Credentials?.AccessKeyId,
      roleArn: fixture.role.arn,
      sessionName: 'lse_1',
      sourceIdentity: 'lse_1',
      tags: [{ key: 'mayfly:lease', value: 'lse_1' }],
      issuedTo: BROKER.accessKeyId,
      alive: true,
    })
  })

  const invalid = 'ValidationError'
  const rows: [string, object, string, string][] = [
    ['899 seconds', { DurationSeconds: 899 }, invalid, '>= 900'],
    ['over the role maximum', { DurationSeconds: 7201 }, invalid, 'MaxSessionDuration'],
    ['over twelve hours', { DurationSeconds: 43_201 }, invalid, '<= 43200'],
    ['a space in the session name', { RoleSessionName: 'a b!' }, invalid, 'roleSessionName'],
    ['one letter of session name', { RoleSessionName: 'a' }, invalid, 'roleSessionName'],
    ['65 letters of session name', { RoleSessionName: 'a'.repeat(65) }, invalid, 'roleSessionName'],
    ['a slash in the source identity', { SourceIdentity: 'a/b' }, invalid, 'sourceIdentity'],
    ['a policy of 2049 characters', { Policy: 'x'.repeat(2049) }, invalid, 'policy'],
    ['a policy that is no JSON', { Policy: '{not json' }, 'MalformedPolicyDocumentException', 'Json'],
    [
      'a policy with a principal',
      { Policy: withPrincipal() },
      'MalformedPolicyDocumentException',
      'Principal',
    ],
    [
      'an unknown operator',
      { Policy: withOperator('DateBefore') },
      'MalformedPolicyDocumentException',
      'DateBefore',
    ],
    [
      'a date that is none',
      { Policy: withOperator('DateLessThan') },
      'MalformedPolicyDocumentException',
      'DateLess',
    ],
    ['51 tags', { Tags: tags(51) }, invalid, 'tags'],
    ['tag keys equal but for case', { Tags: [tag('Team'), tag('team')] }, 'InvalidParameterValue', 'insens'],
    ['a tag key of 129', { Tags: [tag('k'.repeat(129))] }, invalid, 'tags.1.member.key'],
    ['a transitive key not sent', { TransitiveTagKeys: ['x'] }, 'InvalidParameterValue', 'transitive'],
    ['tags that do not pack', { Tags: tags(50, 'v'.repeat(100)) }, 'PackedPolicyTooLargeException', '%'],
  ]
  test.each(rows)('refuses %s', async (_name, input, code, words) => {
    const { message, ...seen } = await refusal(fixture.assume(input))
    expect(seen).toEqual({ code, status: 400 })
    const plain = message.replace('greater than or equal to', '>=').replace('less than or equal to', '<=')
    expect(plain).toContain(words)
    expect(fixture.aws.credentials()).toEqual([])
  })

  test('without a duration it is an hour', async () => {
    await fixture.assume()
    const [credential] = fixture.aws.credentials()
    expect((credential?.expiresAt ?? 0) - (credential?.issuedAt ?? 0)).toBe(60 * MINUTE)
  })

  test('a role that does not exist or does not trust the caller answers the same', async () => {
    const { arn } = fixture.aws.addRole({ name: 'other', trusts: [], policy: JSON.parse(denyAll({})) })
    const stranger = await refusal(fixture.assume({ RoleArn: arn }))
    const nobody = await refusal(fixture.assume({ RoleArn: arn.replace('other', 'none') }))
    expect(stranger).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(nobody).toEqual({ ...stranger, message: stranger.message.replace('role/other', 'role/none') })
  })

  test('tags need sts:TagSession and a source identity sts:SetSourceIdentity in the trust policy', async () => {
    const { arn } = fixture.aws.addRole({
      name: 'plain',
      trusts: ['arn:aws:iam::123456789012:user/broker'],
      trustActions: ['sts:AssumeRole'],
      policy: JSON.parse(onlyAllow('s3:GetObject', OBJECTS)),
    })
    await fixture.assume({ RoleArn: arn })
    const tagged = await refusal(fixture.assume({ RoleArn: arn, Tags: [tag('team')] }))
    expect(tagged).toMatchObject({ code: 'AccessDenied', message: expect.stringContaining('sts:TagSession') })
    const named = await refusal(fixture.assume({ RoleArn: arn, SourceIdentity: 'lse_1' }))
    expect(named.message).toContain('sts:SetSourceIdentity')
  })

  test('trust in the account leaves the rest to the policy of the caller', async () => {
    const { arn } = fixture.aws.addRole({
      name: 'shared',
      trusts: ['arn:aws:iam::123456789012:root'],
      policy: JSON.parse(onlyAllow('s3:GetObject', OBJECTS)),
    })
    const keys = { accessKeyId: 'AKIASECOND0000000000', secretAccessKey: 'second' }
    const policy = JSON.parse(onlyAllow('sts:AssumeRole', arn))
    fixture.aws.addUser({ name: 'second', ...keys, policy })
    await fixture.assume({ RoleArn: arn }, keys)
    expect(await refusal(fixture.assume({ RoleArn: arn }))).toMatchObject({ code: 'AccessDenied' })
    const tagged = refusal(fixture.assume({ RoleArn: arn, Tags: [tag('team')] }, keys))
    expect(await tagged).toMatchObject({ code: 'AccessDenied' })
  })

  test('GetCallerIdentity is allowed to a session that may do nothing at all', async () => {
    const keys = await fixture.assume({ Policy: denyAll({}) })
    expect(await whoAmI(keys)).toMatchObject({
      Account: '123456789012',
      Arn: 'arn:aws:sts::123456789012:assumed-role/deploy/lse_1',
      UserId: `${fixture.role.roleId}:lse_1`,
    })
    expect(fixture.alive()).toEqual([])
  })
})

describe('role chaining', () => {
  beforeEach(() => {
    const { arn } = fixture.role
    const policy = JSON.parse(onlyAllow('s3:GetObject', OBJECTS))
    fixture.aws.addRole({ name: 'next', trusts: [arn], policy, maxSessionSeconds: 43_200 })
  })
  const NEXT = { RoleArn: 'arn:aws:iam::123456789012:role/next' }

  test('is at most an hour, whatever the role allows', async () => {
    const first = await fixture.assume()
    const { code, message } = await refusal(fixture.assume({ ...NEXT, DurationSeconds: 3601 }, first))
    expect([code, message]).toEqual(['ValidationError', expect.stringContaining('1 hour')])
    await fixture.assume({ ...NEXT, DurationSeconds: 3600 }, first)
  })

  test('is refused by a session policy that does not allow it', async () => {
    const first = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS) })
    expect(await refusal(fixture.assume(NEXT, first))).toMatchObject({ code: 'AccessDenied' })
  })

  test('keeps the source identity and the transitive tags', async () => {
    const Tags = [tag('team'), tag('stage')]
    const first = await fixture.assume({ SourceIdentity: 'lse_1', Tags, TransitiveTagKeys: ['team'] })
    await fixture.assume(NEXT, first)
    const second = fixture.aws.credentials()[1]
    expect(second).toMatchObject({ sourceIdentity: 'lse_1', tags: [{ key: 'team', value: 'v' }] })
    expect(second?.issuedTo).toBe(first.accessKeyId)
    const changed = await refusal(fixture.assume({ ...NEXT, SourceIdentity: 'lse_2' }, first))
    expect(changed).toMatchObject({ code: 'AccessDenied' })
    const again = await refusal(fixture.assume({ ...NEXT, Tags: [tag('Team')] }, first))
    expect(again).toMatchObject({ code: 'InvalidParameterValue' })
  })
})

function tag(Key: string, Value = 'v') {
  return { Key, Value }
}

function tags(count: number, value = 'v') {
  return Array.from({ length: count }, (_, index) => tag(`k${index}`, value))
}

function withPrincipal(): string {
  const statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: '*' }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

function withOperator(operator: string): string {
  return onlyAllow('s3:GetObject', '*', { [operator]: { 'aws:CurrentTime': 'tomorrow' } })
}
