/** Rows T: token exchange, introspection and revocation asked for in ways that nobody should. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { asks, RESOURCE_SERVER } from '../fakes/installation.ts'
import {
  assertionRequest,
  attackedBroker,
  exchangeRequest,
  JWT_BEARER,
  TOKEN_EXCHANGE,
  TOKEN_TYPE,
} from './attacked-broker.ts'
import { testUnharmed } from './refusals.ts'
import type { Reply, Sent } from './request.ts'

const it = attackedBroker()

type Row = readonly [
  id: string,
  what: string,
  change: (good: Sent) => Partial<Sent>,
  status: number,
  error: string,
]

const FORM = 'application/x-www-form-urlencoded'
const text = (sent: Sent) => String(sent.body)

/** The good form with one parameter set, or taken out. */
const with_ = (name: string, value: string | undefined) => (good: Sent) => {
  const form = new URLSearchParams(text(good))
  if (value === undefined) form.delete(name)
  else form.set(name, value)
  return { body: `${form}` }
}
const and = (more: string) => (good: Sent) => ({ body: `${text(good)}&${more}` })
const details = (value: unknown) =>
  with_('authorization_details', typeof value === 'string' ? value : JSON.stringify(value))
const method =
  (name: string, headers: Record<string, string> = {}) =>
  () => ({ method: name, headers, body: '' })
const nested = (depth: number) => `[{"type":"jwt","x":${'['.repeat(depth)}${']'.repeat(depth)}}]`
const ORDERS = JSON.stringify(asks.orders).slice(1)

function expectOauthError(reply: Reply, status: number, error: string): void {
  expect(reply.status, reply.text).toBe(status)
  expect(JSON.parse(reply.text)).toMatchObject({
    error,
    error_description: expect.stringMatching(/^[ !#-[\]-~]+$/),
  })
  expect(reply.headers).toContain('cache-control: no-store')
  expect(reply.headers).toContain('content-type: application/json')
}

describe('T: the token endpoint', () => {
  const rows: readonly Row[] = [
    ...['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'].map(
      (name): Row => ['T1', `the method ${name}`, method(name), 405, 'invalid_request'],
    ),
    ['T1', 'a method override', method('GET', { 'x-http-method-override': 'POST' }), 405, 'invalid_request'],
    ...[
      'application/json',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/x-www-form-urlencoded-x',
      `${FORM}, ${FORM}`,
      'application/*',
      '*/*',
      '',
      ` ;${FORM}`,
      'application/problem+json',
    ].map((type): Row => ['T1', `the content type ${type}`, () => ({ type }), 415, 'invalid_request']),
    ['T1', 'no content type', () => ({ type: undefined }), 415, 'invalid_request'],
    ['T1', 'JSON that is called a form', () => ({ body: '{"grant_type":"x"}' }), 400, 'invalid_request'],
    ...[
      'grant_type',
      'subject_token',
      'subject_token_type',
      'authorization_details',
      'purpose',
      'agent',
      'minutes',
      'ticket',
      'client_id',
      'scope',
      'requested_token_type',
    ].map((name): Row => ['T1', `${name} twice`, and(`${name}=a&${name}=a`), 400, 'invalid_request']),
    ['T1', 'a parameter twice, once in escapes', and('subject%5Ftoken=x'), 400, 'invalid_request'],
    ...['subject_token_type', 'grant_type', 'subject_token'].map(
      (name): Row => ['T1', `no ${name}`, with_(name, undefined), 400, 'invalid_request'],
    ),
    ...['subject_token_type', 'grant_type'].map(
      (name): Row => ['T1', `an empty ${name}`, with_(name, ''), 400, 'invalid_request'],
    ),
    ['T1', 'no authorization_details', with_('authorization_details', undefined), 400, 'invalid_request'],
    [
      'T1',
      'everything in the query',
      good => ({ path: `/oauth/token?${text(good)}`, body: '' }),
      400,
      'invalid_request',
    ],
    ...['', '&', '&&&=', '=', '\0', '%', '%00=%00', '\ufeff', '[]', '[object Object]'].map(
      (body): Row => ['T1', `the body ${JSON.stringify(body)}`, () => ({ body }), 400, 'invalid_request'],
    ),
    [
      'T1',
      'a byte order mark before the form',
      good => ({ body: `\ufeff${text(good)}` }),
      400,
      'invalid_request',
    ],
    [
      'T1',
      'a form in UTF-16',
      good => ({ body: Buffer.from(text(good), 'utf16le') }),
      400,
      'invalid_request',
    ],
    [
      'T1',
      'a form that is not UTF-8',
      good => ({ body: Buffer.concat([Buffer.from(`${text(good)}&purpose=`), Buffer.from([0xff])]) }),
      400,
      'invalid_request',
    ],
    [
      'T1',
      'a compressed form',
      good => ({ body: gzipSync(text(good)), headers: { 'content-encoding': 'gzip' } }),
      400,
      'invalid_request',
    ],
    ...[
      '__proto__=x',
      '__proto__[subject_token]=x',
      'constructor=x',
      'subject_token[]=x',
      'subject_token.x=x',
      'Subject_Token=x',
      'subject_token%00=x',
      'subject_token%20=x',
      '%20subject_token=x',
      'actor_token=x',
      'actor_token_type=x',
      'assertion=x',
      'client_secret=x',
      'access_token=x',
      'prefer=x',
      '=x',
      'x',
    ].map((more): Row => ['T1', `a parameter that is unknown: ${more}`, and(more), 400, 'invalid_request']),
    [
      'T1',
      'four thousand parameters',
      and(Array.from({ length: 4_000 }, (_, at) => `p${at}=x`).join('&')),
      400,
      'invalid_request',
    ],
    ...[
      'authorization_code',
      'password',
      'refresh_token',
      'token-exchange',
      TOKEN_EXCHANGE.toUpperCase(),
      `${TOKEN_EXCHANGE} `,
      `${TOKEN_EXCHANGE}\0`,
      JWT_BEARER.toUpperCase(),
      'urn:ietf:params:oauth:grant-type:saml2-bearer',
      '__proto__',
    ].map(
      (grant): Row => [
        'T2',
        `the grant type ${JSON.stringify(grant)}`,
        with_('grant_type', grant),
        400,
        'unsupported_grant_type',
      ],
    ),
    ...[
      '',
      'jwt',
      `${TOKEN_TYPE}id_token`,
      `${TOKEN_TYPE}refresh_token`,
      `${TOKEN_TYPE}saml2`,
      `${TOKEN_TYPE}ACCESS_TOKEN`,
      '__proto__',
    ].map(
      (type): Row => [
        'T4',
        `to be given the type ${type}`,
        with_('requested_token_type', type),
        400,
        'invalid_request',
      ],
    ),
    ...[
      '',
      '*',
      'orders.read',
      'admin',
      'repo user',
      'a '.repeat(10_000),
      '\0',
      'a\nb',
      '__proto__',
      '../..',
    ].map(
      (scope): Row => [
        'T6',
        `the scope ${JSON.stringify(scope.slice(0, 20))}`,
        with_('scope', scope),
        400,
        'invalid_scope',
      ],
    ),
    ...[
      '',
      '[',
      '{}',
      '"x"',
      'null',
      '42',
      '[]',
      '[[]]',
      '[null]',
      '["jwt"]',
      '[42]',
      '[{}]',
      '[{"type":42}]',
      '[{"type":null}]',
      '[{"type":""}]',
      '[{"type":["jwt"]}]',
      `[{"type":"${'x'.repeat(64)}"}]`,
    ]
      .slice(1)
      .map(
        (value): Row => [
          'T7',
          `authorization_details ${value.slice(0, 30)}`,
          details(value),
          400,
          'invalid_authorization_details',
        ],
      ),
    ...[
      'nobody',
      'JWT',
      'jwt ',
      'jwt\\u0000',
      '__proto__',
      'constructor',
      'toString',
      'mayfly',
      '../jwt',
      'signed-jwt',
    ].map(
      (issuer): Row => [
        'T7',
        `an ask of the issuer ${issuer}`,
        details(`[{"type":"${issuer}",${ORDERS.replace(/"type":"jwt",/, '')}]`),
        400,
        'invalid_authorization_details',
      ],
    ),
    [
      'T7',
      'a member twice',
      details(`[{"scopes":["orders.write"],${ORDERS}]`),
      400,
      'invalid_authorization_details',
    ],
    [
      'T7',
      'a member twice, once in escapes',
      details(`[{"\\u0074ype":"github",${ORDERS}]`),
      400,
      'invalid_authorization_details',
    ],
    [
      'T7',
      'a member beyond the schema',
      details([{ ...asks.orders, admin: true }]),
      400,
      'invalid_authorization_details',
    ],
    [
      'T7',
      'a member called __proto__',
      details(`[{"__proto__":{"scopes":["orders.write"]},${ORDERS}]`),
      400,
      'invalid_authorization_details',
    ],
    [
      'T7',
      'a member called constructor',
      details(`[{"constructor":{"prototype":{}},${ORDERS}]`),
      400,
      'invalid_authorization_details',
    ],
    [
      'T7',
      'a permission called __proto__',
      details(
        '[{"type":"github","repositories":["acme/api"],"permissions":{"contents":"read","__proto__":"write"}}]',
      ),
      400,
      'invalid_authorization_details',
    ],
    ...[17, 200, 10_000].map(
      (depth): Row => [
        'T7',
        `nesting ${depth} deep`,
        details(nested(depth)),
        400,
        'invalid_authorization_details',
      ],
    ),
    ['T7', 'a byte order mark', details(`\ufeff[{${ORDERS}]`), 400, 'invalid_authorization_details'],
    ['T7', 'a lone surrogate', details(`[{"x":"\\ud800",${ORDERS}]`), 400, 'invalid_authorization_details'],
    ['T7', 'a number out of range', details(`[{"x":1e999,${ORDERS}]`), 400, 'invalid_authorization_details'],
    ['T7', 'more asks than fit', details(Array(17).fill(asks.orders)), 400, 'invalid_authorization_details'],
    ...[
      { scopes: [] },
      { scopes: 'orders.read' },
      { scopes: ['orders.read', 42] },
      { scopes: [''] },
      { scopes: ['orders.read orders.write'] },
      { scopes: ['orders.read', 'orders.read\0'] },
      { audience: [asks.orders.audience] },
      { audience: null },
      { audience: '' },
    ].map(
      (change): Row => [
        'T7',
        JSON.stringify(change),
        details([{ ...asks.orders, ...change }]),
        400,
        'invalid_authorization_details',
      ],
    ),
    ...[
      { permissions: {} },
      { permissions: { contents: 'admin' } },
      { permissions: { nobody_knows: 'read' } },
      { permissions: { CONTENTS: 'read' } },
      { permissions: ['contents'] },
      { repositories: [] },
      { repositories: ['*'] },
      { repositories: ['acme/*'] },
      { repositories: ['acme'] },
      { repositories: ['../acme/api'] },
      { repositories: ['acme/api/../web'] },
      { repositories: ['acme/api\0'] },
      { repositories: 'all' },
    ].map(
      (change): Row => [
        'T8',
        JSON.stringify(change),
        details([{ ...asks.apiRead, ...change }]),
        400,
        'invalid_authorization_details',
      ],
    ),
    [
      'T8',
      'more than the ceiling',
      details([{ ...asks.apiRead, permissions: { administration: 'write' } }]),
      400,
      'invalid_scope',
    ],
    ['T8', 'a level above the ceiling', details([asks.api]), 400, 'invalid_scope'],
    [
      'T8',
      'a repository beside the ceiling',
      details([{ ...asks.apiRead, repositories: ['acme/web'] }]),
      400,
      'invalid_scope',
    ],
    [
      'T8',
      'one repository too many',
      details([{ ...asks.apiRead, repositories: ['acme/api', 'acme/web'] }]),
      400,
      'invalid_scope',
    ],
    [
      'T8',
      'a scope above the ceiling',
      details([{ ...asks.orders, scopes: ['orders.write'] }]),
      400,
      'invalid_scope',
    ],
    [
      'T8',
      'one good ask and one too wide',
      details([asks.orders, { ...asks.orders, scopes: ['orders.write'] }]),
      400,
      'invalid_scope',
    ],
    [
      'T8',
      'an issuer that the ceiling does not have',
      details([
        {
          type: 'aws',
          role: 'arn:aws:iam::123456789012:role/deploy',
          statements: [{ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::artifacts/*'] }],
        },
      ]),
      400,
      'invalid_scope',
    ],
    ...['https://other.test', `${asks.orders.audience}/`, '', '*', 'github', '__proto__'].flatMap(
      (target): Row[] => [
        ['T9', `the audience ${target}`, with_('audience', target), 400, 'invalid_target'],
        ['T9', `the resource ${target}`, with_('resource', target), 400, 'invalid_target'],
      ],
    ),
    [
      'T9',
      'one audience too many',
      and(`audience=${encodeURIComponent(asks.orders.audience)}&audience=other`),
      400,
      'invalid_target',
    ],
    ...[
      '0',
      '-1',
      '1.5',
      '',
      ' 5',
      '5 ',
      '0x10',
      '1e3',
      '1441',
      '999999',
      '99999999999999999999',
      'NaN',
      '\u0665',
      '5\0',
    ].map(
      (minutes): Row => [
        'T12',
        `minutes ${JSON.stringify(minutes)}`,
        with_('minutes', minutes),
        400,
        'invalid_request',
      ],
    ),
    ...['0', '9', '3601', '-10', 'x', ''].map(
      (beat): Row => [
        'T12',
        `heartbeat_seconds ${beat}`,
        with_('heartbeat_seconds', beat),
        400,
        'invalid_request',
      ],
    ),
    ...['', 'x'.repeat(501), 'a\0b', 'a\u001b[31mb', 'a\u0085b', 'a\u007fb'].map(
      (purpose): Row => [
        'T12',
        `the purpose ${JSON.stringify(purpose.slice(0, 12))}`,
        with_('purpose', purpose),
        400,
        'invalid_request',
      ],
    ),
    ...['', 'x'.repeat(64)].map(
      (agent): Row => [
        'T12',
        `the agent ${JSON.stringify(agent)}`,
        with_('agent', agent),
        400,
        'invalid_request',
      ],
    ),
    ...['', 'unknown', '__proto__', '\0'].map(
      (ticket): Row => [
        'T12',
        `the ticket ${JSON.stringify(ticket)}`,
        with_('ticket', ticket),
        400,
        'invalid_request',
      ],
    ),
    ...[
      '/oauth/token/',
      '/oauth//token',
      '/OAUTH/token',
      '/oauth/Token',
      '//oauth/token',
      '/oauth/token;x',
      '/oauth/token%00',
      '/oauth/token%2f',
      '/oauth/tokens',
      '/oauth/token.json',
      '/oauth/%74oken%20',
    ].map(
      (path): Row => [
        'T13',
        `the path ${path}`,
        () => ({ path }),
        404,
        path.startsWith('/oauth/') ? 'invalid_request' : '',
      ],
    ),
  ]

  testUnharmed(it, () => {
    test.each(rows)('%s %s', async (_id, _what, change, status, error) => {
      const good = exchangeRequest(it.goodToken())
      const reply = await it.send({ ...good, ...change(good) })
      if (error === '') expect(reply.status).toBe(status)
      else expectOauthError(reply, status, error)
      if (status === 405) expect(reply.headers).toContain('allow: POST')
    })

    test.each(['HEAD', 'TRACE'])('T1 the method %s', async name => {
      const reply = await it.send({ method: name, path: '/oauth/token' })
      expect(reply.status).toBe(405)
      expect(reply.text).not.toContain(name)
    })
  })
})

describe('T: the token endpoint, with an assertion', () => {
  const rows: readonly Row[] = [
    ['T1', 'no assertion', with_('assertion', undefined), 400, 'invalid_request'],
    ['T1', 'an empty assertion', with_('assertion', ''), 400, 'invalid_grant'],
    ...['assertion', 'grant_type', 'authorization_details', 'scope'].map(
      (name): Row => ['T1', `${name} twice`, and(`${name}=a&${name}=a`), 400, 'invalid_request'],
    ),
    [
      'T1',
      'everything in the query',
      good => ({ path: `/oauth/token?${text(good)}`, body: '' }),
      400,
      'invalid_request',
    ],
    // What belongs to token exchange: a request that means two grants means neither.
    ...[
      'subject_token',
      'subject_token_type',
      'requested_token_type',
      'actor_token',
      'actor_token_type',
      'client_assertion',
      'client_assertion_type',
      'Assertion',
      'ask',
    ].map((name): Row => ['T1', `${name} beside it`, with_(name, 'x'), 400, 'invalid_request']),
    ['T2', 'the assertion by token exchange', with_('grant_type', TOKEN_EXCHANGE), 400, 'invalid_request'],
    ...['', '*', 'orders.read'].map(
      (scope): Row => [
        'T6',
        `the scope ${JSON.stringify(scope)}`,
        with_('scope', scope),
        400,
        'invalid_scope',
      ],
    ),
    ['T8', 'no authorization_details', details('[]'), 400, 'invalid_authorization_details'],
    ['T8', 'more than the ceiling', details([{ ...asks.orders, scopes: ['admin'] }]), 400, 'invalid_scope'],
    ...['audience', 'resource'].map(
      (name): Row => ['T3', `another ${name}`, with_(name, 'https://other.test'), 400, 'invalid_target'],
    ),
    ['T10', 'no ticket', with_('ticket', 'x'), 400, 'invalid_request'],
    [
      'T9',
      'evidence of nobody',
      () => ({ body: text(assertionRequest(it.goodToken({ sub: 'stranger' }))) }),
      400,
      'invalid_grant',
    ],
  ]
  testUnharmed(it, () => {
    test.each(rows)('%s %s', async (_id, _what, change, status, error) => {
      const good = assertionRequest(it.goodToken())
      expectOauthError(await it.send({ ...good, ...change(good) }), status, error)
    })
  })
})

const LEDGERS = { id: 'ledgers-api', secret: 'another-long-random-secret-of-another-api' }
const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
const ORDERS_API = basic(RESOURCE_SERVER.id, RESOURCE_SERVER.secret)

const introspect = (token: string, authorization?: string): Promise<Reply> =>
  it.send({
    ...{ method: 'POST', path: '/oauth/introspect', type: FORM, body: `${new URLSearchParams({ token })}` },
    headers: authorization === undefined ? {} : { authorization },
  })
const revoke = (token: string, bearer?: string): Promise<Reply> =>
  it.send({
    method: 'POST',
    path: '/oauth/revoke',
    type: FORM,
    token: bearer,
    body: `${new URLSearchParams({ token })}`,
  })

describe('T11: introspection', () => {
  beforeAll(async () => {
    const secret_sha256 = createHash('sha256').update(LEDGERS.secret).digest('hex')
    const file = { name: LEDGERS.id, audience: 'https://ledgers.example.com', secret_sha256 }
    await writeFile(
      join(it.installation.directory, 'resource-servers', `${LEDGERS.id}.yaml`),
      stringify(file),
    )
    await it.running.reload()
  })

  testUnharmed(it, () => {
    test('whoever does not prove to be a resource server gets one answer', async () => {
      const { access, task } = it.ownTokens
      const { id, secret } = RESOURCE_SERVER
      const replies = await Promise.all(
        [
          ...[
            undefined,
            '',
            'Basic',
            'Basic ',
            'Basic !',
            'Basic Og==',
            'Digest x',
            `Bearer ${task}`,
            `Bearer ${access}`,
          ],
          ...[
            basic(id, ''),
            basic(id, `${secret} `),
            basic(id, secret.toUpperCase()),
            basic(id, `${secret}\0`),
            basic('', secret),
            basic(`${id}\0`, secret),
            basic(id.toUpperCase(), secret),
          ],
          ...[
            basic(LEDGERS.id, secret),
            basic('nobody', secret),
            basic('__proto__', secret),
            basic('constructor', ''),
            basic('runner', secret),
          ],
          ...[
            `Basic ${id}:${secret}`,
            `Basic ${Buffer.from(id).toString('base64')}`,
            `${ORDERS_API},${ORDERS_API}`,
            `Basic  ${ORDERS_API.slice(6)}`,
            `${ORDERS_API} x`,
          ],
        ].map(authorization => introspect(access, authorization)),
      )
      for (const reply of replies) expectOauthError(reply, 401, 'invalid_client')
      expect(new Set(replies.map(reply => reply.whole)).size).toBe(1)
      expect(replies[0]!.headers).toContain('www-authenticate: Basic realm="mayfly"')
    })

    test('everything that is not a live credential of its audience gets one answer', async () => {
      const { access, task } = it.ownTokens
      expect(JSON.parse((await introspect(access, ORDERS_API)).text)).toMatchObject({ active: true })
      const [header, payload, signature] = access.split('.')
      const replies = [
        await introspect(access, basic(LEDGERS.id, LEDGERS.secret)),
        ...(await Promise.all(
          [
            task,
            it.goodToken(),
            'x',
            ' ',
            '\0',
            'x'.repeat(60_000),
            'null',
            '__proto__',
            '..',
            `${access} `,
            ` ${access}`,
            `${access}=`,
            `${access}.`,
            `${header}.${payload}.`,
            `${header}.${payload}.${signature?.slice(0, -1)}`,
            access.toLowerCase(),
            `ghs_${'x'.repeat(36)}`,
          ].map(token => introspect(token, ORDERS_API)),
        )),
      ]
      for (const reply of replies) expect(reply.status).toBe(200)
      expect(new Set(replies.map(reply => reply.text))).toEqual(new Set(['{"active":false}']))
      expect(new Set(replies.map(reply => reply.headers)).size).toBe(1)
    })

    test.each([
      ['GET', { method: 'GET' }, 405],
      ['JSON', { type: 'application/json' }, 415],
      ['no token', { body: '' }, 400],
      ['an empty token', { body: 'token=' }, 400],
      ['two tokens', { body: 'token=a&token=b' }, 400],
      ['a token in the query', { path: '/oauth/introspect?token=a', body: '' }, 400],
    ] as const)('%s', async (_what, change, status) => {
      const good = { method: 'POST', path: '/oauth/introspect', type: FORM, body: 'token=a' }
      expectOauthError(
        await it.send({ ...good, headers: { authorization: ORDERS_API }, ...change }),
        status,
        'invalid_request',
      )
    })
  })
})

describe('T11: revocation', () => {
  let other: { access_token: string; task_token: string }
  beforeAll(async () => {
    other = JSON.parse((await it.exchange(it.goodToken())).text) as typeof other
  })

  testUnharmed(it, () => {
    test("a token that is not the caller's to revoke is left alone, and the answer is as for any", async () => {
      const { access, task } = it.ownTokens
      const own = await revoke(other.access_token, other.task_token)
      const replies = [
        own,
        ...(await Promise.all(
          [access, task, it.goodToken(), 'x', '\0', '__proto__', 'x'.repeat(60_000), `${task} `].map(token =>
            revoke(token, other.task_token),
          ),
        )),
        ...(await Promise.all(
          [
            access,
            it.goodToken(),
            'x',
            '\0',
            task.toLowerCase(),
            `${task} `,
            task.replace('mft_', 'mfo_'),
            'x'.repeat(60_000),
          ].map(token => revoke(token)),
        )),
      ]
      for (const reply of replies) expect([reply.status, reply.text]).toEqual([200, ''])
      expect(new Set(replies.map(reply => reply.headers)).size).toBe(1)
      expect(JSON.parse((await introspect(access, ORDERS_API)).text)).toMatchObject({ active: true })
      expect(JSON.parse((await introspect(other.access_token, ORDERS_API)).text)).toEqual({ active: false })
    })

    test('whoever sends a bearer must be a task', async () => {
      const { access } = it.ownTokens
      const replies = await Promise.all(
        [access, 'x', it.goodToken(), `mft_${'0'.repeat(49)}`].map(bearer => revoke(access, bearer)),
      )
      for (const reply of replies) expectOauthError(reply, 401, 'invalid_client')
      expect(new Set(replies.map(reply => reply.whole)).size).toBe(1)
    })

    test.each([
      ['GET', { method: 'GET' }, 405],
      ['JSON', { type: 'application/json' }, 415],
      ['no token', { body: 'token_type_hint=access_token' }, 400],
      ['two tokens', { body: 'token=a&token=b' }, 400],
    ] as const)('%s', async (_what, change, status) => {
      const good = { method: 'POST', path: '/oauth/revoke', type: FORM, body: 'token=a' }
      expectOauthError(await it.send({ ...good, ...change }), status, 'invalid_request')
    })
  })
})
