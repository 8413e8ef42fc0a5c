import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import { ProviderLogError } from '../../src/provider-logs/entry.ts'
import { readProviderLog } from '../../src/provider-logs/read-provider-log.ts'

const token = createHash('sha256').update('ghs_example').digest()

/** As GitHub's documentation shows an event of a token. */
const github = (fields: object = {}) => ({
  '@timestamp': 1_767_225_600_123,
  _document_id: 'A1b2',
  action: 'hook.create',
  actor: 'mayfly[bot]',
  actor_id: 7,
  business: 'acme',
  org: 'acme',
  repo: 'acme/orders',
  hook_id: 42,
  hashed_token: token.toString('base64'),
  programmatic_access_type: 'GitHub App server-to-server token',
  something_new: { deep: [1] },
  ...fields,
})

/** As the CloudTrail User Guide shows a record of an assumed role. */
const cloudtrail = (fields: object = {}) => ({
  eventVersion: '1.11',
  userIdentity: {
    type: 'AssumedRole',
    principalId: 'AROAEXAMPLE:lea_1',
    arn: 'arn:aws:sts::123456789012:assumed-role/deploy/lea_1',
    accountId: '123456789012',
    accessKeyId: 'ASIAEXAMPLE',
    sessionContext: {
      sessionIssuer: { type: 'Role', arn: 'arn:aws:iam::123456789012:role/deploy', userName: 'deploy' },
      attributes: { mfaAuthenticated: 'false', creationDate: '2026-01-01T00:00:00Z' },
      sourceIdentity: 'lea_1',
    },
  },
  eventTime: '2026-01-01T00:00:00Z',
  eventSource: 'iam.amazonaws.com',
  eventName: 'CreateUser',
  recipientAccountId: '123456789012',
  requestParameters: { userName: 'backdoor' },
  responseElements: { user: { userName: 'backdoor', arn: 'arn:aws:iam::123456789012:user/backdoor' } },
  ...fields,
})

describe('formats', () => {
  const entries = [github(), github({ action: 'repo.access' })]
  const records = [cloudtrail(), cloudtrail({ eventName: 'ListUsers', requestParameters: null })]
  test.each([
    ['JSON lines', entries.map(one => JSON.stringify(one)).join('\n')],
    [
      'JSON lines with CRLF, empty lines and a byte order mark',
      `\uFEFF${entries.map(one => JSON.stringify(one)).join('\r\n\r\n')}\r\n`,
    ],
    ['an array', JSON.stringify(entries)],
    ['an array over many lines', JSON.stringify(entries, null, 2)],
    ['CloudTrail’s file', JSON.stringify({ Records: records })],
    ['CloudTrail’s file over many lines', JSON.stringify({ Records: records }, null, 2)],
    ['files one after another', records.map(one => JSON.stringify({ Records: [one] })).join('\n')],
    [
      'lookup-events',
      JSON.stringify({ Events: records.map(one => ({ CloudTrailEvent: JSON.stringify(one) })) }),
    ],
  ])('%s', (_, text) => {
    expect(readProviderLog(text)).toHaveLength(2)
  })

  test('nothing is no entries', () => {
    expect(readProviderLog(' \n ')).toEqual([])
    expect(readProviderLog('[]')).toEqual([])
  })
})

describe('refused', () => {
  test.each([
    ['no JSON', 'action,actor\nrepo.create,me', 'line 1: not JSON'],
    ['a broken line', `${JSON.stringify(github())}\n{"action"`, 'line 2: not JSON'],
    ['a value', '42', 'line 1: not an object'],
    ['null in an array', `[${JSON.stringify(github())},null]`, 'line 1: not an object'],
    ['another log', JSON.stringify([github(), { time: 1, msg: 'x' }]), 'line 1, entry 2: neither'],
    ['an entry without its time', JSON.stringify(cloudtrail({ eventTime: 'yesterday' })), 'entry 1: neither'],
    [
      'a wrapped record that is none',
      JSON.stringify({ Events: [{ CloudTrailEvent: '[]' }] }),
      'is not a record',
    ],
  ])('%s', (_, text, told) => {
    expect(() => readProviderLog(text)).toThrow(ProviderLogError)
    expect(() => readProviderLog(text)).toThrow(told)
  })

  test('too large', () => {
    expect(() => readProviderLog(' '.repeat(LIMITS.providerLogCharacters + 1))).toThrow('cut it into parts')
    const line = JSON.stringify({ action: 'a.b', '@timestamp': 1 })
    const lines = `${line}\n`.repeat(LIMITS.providerLogEntries + 1)
    expect(() => readProviderLog(lines)).toThrow(`more than ${LIMITS.providerLogEntries} entries`)
  })

  test('an error never says what stands in the log', () => {
    expect(() => readProviderLog('{"action": "ghs_secret"')).toThrow(/^line 1: not JSON$/)
  })
})

describe('GitHub', () => {
  test('a token is named by its hash, as a lease keeps it', () => {
    expect(readProviderLog(JSON.stringify(github()))).toEqual([
      {
        provider: 'github',
        at: 1_767_225_600_123,
        action: 'hook.create',
        actor: 'mayfly[bot]',
        tokenHash: token.toString('hex'),
        via: 'GitHub App server-to-server token',
        resource: 'acme/orders',
        created: { kind: 'hook', name: '42' },
      },
    ])
  })

  // Dropping it would make a token that nobody knows invisible.
  test('a hash that is none is kept as it is', () => {
    expect(readProviderLog(JSON.stringify(github({ hashed_token: 'c2hvcnQ=' })))[0]?.tokenHash).toBe(
      'c2hvcnQ=',
    )
  })

  test.each([
    ['public_key.create', { title: 'ci' }, { kind: 'deploy_key', name: 'ci' }],
    [
      'public_key.create',
      { repo: undefined, fingerprint: 'SHA256:x' },
      { kind: 'ssh_key', name: 'SHA256:x' },
    ],
    ['repo.create_actions_secret', { key: 'NPM_TOKEN' }, { kind: 'secret', name: 'NPM_TOKEN' }],
    ['codespaces.create_an_org_secret', { key: 'X' }, { kind: 'secret', name: 'X' }],
    ['environment.update_actions_secret', { key: 'X' }, { kind: 'secret', name: 'X' }],
    ['org.create_actions_variable', { key: 'V' }, { kind: 'variable', name: 'V' }],
    ['repo.add_member', { user: 'mallory' }, { kind: 'user', name: 'mallory' }],
    ['org.invite_member', { invitee: 'mallory' }, { kind: 'user', name: 'mallory' }],
    ['org.update_member', { user: 'mallory' }, { kind: 'role', name: 'mallory' }],
    ['oauth_authorization.create', { oauth_application_name: 'App' }, { kind: 'oauth_grant', name: 'App' }],
    ['workflows.created_workflow_run', { workflow_run_id: 9 }, { kind: 'workflow', name: '9' }],
    ['repo.register_self_hosted_runner', { runner_name: 'r' }, { kind: 'runner', name: 'r' }],
    ['repo.create', {}, { kind: 'repository', name: 'acme/orders' }],
    ['sponsorship.create', {}, { kind: 'sponsorship', name: 'acme/orders' }],
    ['new_thing.made', { operation_type: 'create', name: 'n' }, { kind: 'new_thing', name: 'n' }],
  ])('%s makes something', (action, fields, created) => {
    expect(readProviderLog(JSON.stringify(github({ action, ...fields })))[0]?.created).toEqual(created)
  })

  test.each([
    'git.clone',
    'git.push',
    'repo.destroy',
    'secret_scanning.disable',
    'hook.destroy',
    'workflows.delete_workflow_run',
    'repo.remove_member',
  ])('%s makes nothing', action => {
    expect(readProviderLog(JSON.stringify(github({ action })))[0]).not.toHaveProperty('created')
  })
})

describe('CloudTrail', () => {
  test('a session is named by its lease', () => {
    expect(readProviderLog(JSON.stringify(cloudtrail()))).toEqual([
      {
        provider: 'aws',
        at: Date.UTC(2026, 0, 1),
        action: 'iam:CreateUser',
        actor: 'arn:aws:sts::123456789012:assumed-role/deploy/lea_1',
        session: 'lea_1',
        sourceIdentity: 'lea_1',
        role: 'arn:aws:iam::123456789012:role/deploy',
        resource: '123456789012',
        created: { kind: 'user', name: 'arn:aws:iam::123456789012:user/backdoor' },
      },
    ])
  })

  test('what was refused made nothing', () => {
    const [entry] = readProviderLog(JSON.stringify(cloudtrail({ errorCode: 'AccessDenied' })))
    expect(entry).toMatchObject({ refused: 'AccessDenied' })
    expect(entry).not.toHaveProperty('created')
  })

  test('a user has no session, and a role session without an ARN has the one of its principal', () => {
    const user = { type: 'IAMUser', arn: 'arn:aws:iam::123456789012:user/a', principalId: 'AIDA' }
    expect(readProviderLog(JSON.stringify(cloudtrail({ userIdentity: user })))[0]).not.toHaveProperty(
      'session',
    )
    const role = { type: 'AssumedRole', principalId: 'AROAEXAMPLE:lea_2' }
    expect(readProviderLog(JSON.stringify(cloudtrail({ userIdentity: role })))[0]?.session).toBe('lea_2')
  })

  test.each([
    [
      'CreateAccessKey',
      { accessKey: { accessKeyId: 'AKIA1', userName: 'u' } },
      { kind: 'access_key', name: 'AKIA1' },
    ],
    ['CreateRole', { role: { arn: 'arn:r' } }, { kind: 'role', name: 'arn:r' }],
    ['CreateOpenIDConnectProvider', null, { kind: 'open_id_connect_provider', name: 'backdoor' }],
    ['CreateFunction20150331v2', { functionArn: 'arn:f' }, { kind: 'function', name: 'arn:f' }],
    ['UpdateAssumeRolePolicy', null, { kind: 'trust_policy', name: 'backdoor' }],
    ['PutUserPolicy', null, { kind: 'user_policy', name: 'backdoor' }],
    ['AttachUserPolicy', null, { kind: 'policy_attachment', name: 'backdoor' }],
    ['AssumeRole', { assumedRoleUser: { arn: 'arn:s' } }, { kind: 'role_session', name: 'arn:s' }],
  ])('%s makes something', (eventName, responseElements, created) => {
    const record = cloudtrail({ eventName, responseElements })
    expect(readProviderLog(JSON.stringify(record))[0]?.created).toEqual(created)
  })

  test.each(['GetObject', 'PutObject', 'ListUsers', 'DeleteUser', 'DescribeInstances'])(
    '%s makes nothing',
    eventName => {
      expect(readProviderLog(JSON.stringify(cloudtrail({ eventName })))[0]).not.toHaveProperty('created')
    },
  )
})

describe('hostile entries', () => {
  test('inherited names, wrong types and long texts are not taken for what they are not', () => {
    const text = `{"@timestamp": 1, "action": "hook.create", "actor": {"a": 1}, "repo": ["x"],
      "__proto__": {"hook_id": "evil"}, "hashed_token": 5, "org": "${'x'.repeat(5_000)}"}`.replace(
      /\n\s*/g,
      ' ',
    )
    const [entry] = readProviderLog(text)
    expect(entry).not.toHaveProperty('actor')
    expect(entry?.resource).toHaveLength(LIMITS.providerLogFieldCharacters)
    expect(entry?.created?.name).not.toBe('evil')
    const odd = cloudtrail({
      eventName: 'constructor',
      userIdentity: 'me',
      responseElements: 'x',
      requestParameters: [],
    })
    expect(readProviderLog(JSON.stringify(odd))[0]).not.toHaveProperty('created')
  })

  test('depth costs nothing', () => {
    const deep = `{"@timestamp": 1, "action": "a.b", "x": ${'['.repeat(5_000)}${']'.repeat(5_000)}}`
    expect(readProviderLog(deep)).toHaveLength(1)
  })
})
