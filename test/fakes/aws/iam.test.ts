import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { denyAll, Fixture, onlyAllow, refusal } from './fixture.ts'

const MINUTE = 60_000
const OBJECTS = 'arn:aws:s3:::artifacts/*'

let fixture: Fixture
beforeEach(async () => {
  fixture = await Fixture.start()
})
afterEach(() => fixture.aws.close())

/** An inline policy on the deploy role, written by the broker. */
function putPolicy(PolicyDocument: string, PolicyName = 'mayfly'): Promise<unknown> {
  return fixture.iam().send(new PutRolePolicyCommand({ RoleName: 'deploy', PolicyName, PolicyDocument }))
}

describe('IAM role policies', () => {
  const POLICY = onlyAllow('s3:GetObject', OBJECTS)
  const role = { RoleName: 'deploy' }
  const mayfly = { ...role, PolicyName: 'mayfly' }

  test('are written, read, listed and deleted', async () => {
    const iam = fixture.iam()
    const { Role } = await iam.send(new GetRoleCommand(role))
    expect(Role).toMatchObject({ RoleId: fixture.role.roleId, MaxSessionDuration: 7200 })
    await putPolicy(POLICY)
    await putPolicy(POLICY, 'another')
    const { PolicyDocument = '' } = await iam.send(new GetRolePolicyCommand(mayfly))
    expect(decodeURIComponent(PolicyDocument)).toBe(POLICY)
    const first = await iam.send(new ListRolePoliciesCommand({ ...role, MaxItems: 1 }))
    expect(first).toMatchObject({ PolicyNames: ['another'], IsTruncated: true, Marker: 'another' })
    const rest = await iam.send(new ListRolePoliciesCommand({ ...role, Marker: 'another' }))
    expect(rest).toMatchObject({ PolicyNames: ['mayfly'], IsTruncated: false })
    await iam.send(new DeleteRolePolicyCommand(mayfly))
    const gone = { code: 'NoSuchEntityException', status: 404 }
    expect(await refusal(iam.send(new DeleteRolePolicyCommand(mayfly)))).toMatchObject(gone)
    expect(await refusal(iam.send(new GetRolePolicyCommand(mayfly)))).toMatchObject(gone)
  })

  test('an unknown role, a document that is none, a caller without leave', async () => {
    const none = await refusal(fixture.iam().send(new GetRoleCommand({ RoleName: 'none' })))
    expect(none).toMatchObject({ code: 'AccessDenied', status: 403 })
    fixture.aws.addUser({
      name: 'admin',
      accessKeyId: 'AKIAADMIN00000000000',
      secretAccessKey: 'admin',
      policy: JSON.parse(onlyAllow('*', '*')),
    })
    const admin = fixture.iam({ accessKeyId: 'AKIAADMIN00000000000', secretAccessKey: 'admin' })
    const missing = await refusal(admin.send(new GetRoleCommand({ RoleName: 'none' })))
    expect(missing).toMatchObject({ code: 'NoSuchEntityException', status: 404 })
    expect(await refusal(putPolicy('{}'))).toMatchObject({
      code: 'MalformedPolicyDocumentException',
      status: 400,
    })
    const session = fixture.iam(await fixture.assume())
    expect(await refusal(session.send(new GetRoleCommand(role)))).toMatchObject({ code: 'AccessDenied' })
  })

  test('hold 10,240 characters in all, white space not counted', async () => {
    const ids = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(40, 'x'))
    const policy = (count: number) => denyAll({ StringEquals: { 'aws:userid': ids(count) } })
    await putPolicy(policy(100))
    const full = await refusal(putPolicy(policy(150), 'second'))
    expect(full).toMatchObject({ code: 'LimitExceededException', status: 409 })
    await putPolicy(JSON.stringify(JSON.parse(policy(200)), undefined, 40))
  })

  test('a deny on the issue time ends older sessions at once, and only those', async () => {
    const old = await fixture.assume()
    fixture.clock.aheadMs = 10_000
    const T = new Date(Date.now() + 5000).toISOString()
    await putPolicy(denyAll({ DateLessThan: { 'aws:TokenIssueTime': T } }), 'AWSRevokeOlderSessions')
    const young = await fixture.assume()
    const refused = await refusal(fixture.read(old))
    expect(refused).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(refused.message).toContain('explicit deny')
    expect(await fixture.read(young)).toBe('hello')
    expect(fixture.alive()).toEqual([young.accessKeyId])
    await fixture.iam().send(new DeleteRolePolicyCommand({ ...role, PolicyName: 'AWSRevokeOlderSessions' }))
    expect(await fixture.read(old)).toBe('hello')
  })

  const one: [string, (roleId: string) => object][] = [
    ['aws:userid', roleId => ({ StringEquals: { 'aws:userid': `${roleId}:lse_1` } })],
    ['aws:SourceIdentity', () => ({ StringEquals: { 'aws:SourceIdentity': 'lse_1' } })],
    ['aws:PrincipalTag', () => ({ StringEquals: { 'aws:PrincipalTag/lease': 'lse_1' } })],
  ]
  test.each(one)('a deny on %s ends one session and leaves its neighbour', async (_name, condition) => {
    const session = (lease: string) => ({
      RoleSessionName: lease,
      SourceIdentity: lease,
      Tags: [{ Key: 'lease', Value: lease }],
    })
    const first = await fixture.assume(session('lse_1'))
    const second = await fixture.assume(session('lse_2'))
    await putPolicy(denyAll(condition(fixture.role.roleId)))
    expect(await refusal(fixture.read(first))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(await fixture.read(second)).toBe('hello')
    expect(fixture.alive()).toEqual([second.accessKeyId])
  })

  test('take effect only after the delay that is set', async () => {
    const keys = await fixture.assume()
    fixture.aws.denyDelayMs = 3 * MINUTE
    await putPolicy(denyAll({}))
    expect(await fixture.read(keys)).toBe('hello')
    fixture.clock.aheadMs = 3 * MINUTE
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'AccessDenied' })
  })
})
