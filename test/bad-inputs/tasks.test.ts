/** The JSON API: bodies, tokens and ids that are not what they should be. */
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { createOperatorToken } from '../../src/broker/people/create-operator-token.ts'
import { asks } from '../fakes/installation.ts'
import { attackedBroker, openRequest } from './attacked-broker.ts'
import { testUnharmed } from './refusals.ts'
import type { Reply, Sent } from './request.ts'

const it = attackedBroker()

type Row = readonly [what: string, change: (good: Sent) => Partial<Sent>, status: number, code: string]
type Task = { id: string; token: string; ask: string }

const JSON_TYPE = 'application/json'
const text = (sent: Sent) => String(sent.body)

function expectProblem(reply: Reply, status: number, code: string): void {
  expect(reply.status, reply.text).toBe(status)
  expect(JSON.parse(reply.text)).toMatchObject({ status, code, type: `urn:mayfly:problem:${code}` })
  expect(reply.headers).toContain('content-type: application/problem+json')
  expect(reply.headers).toContain('cache-control: no-store')
}

/** Byte for byte, whatever was wrong. */
function expectAlike(replies: readonly Reply[], status: number, code: string): void {
  for (const reply of replies) expectProblem(reply, status, code)
  expect(new Set(replies.map(reply => reply.whole)).size).toBe(1)
}

async function openTask(): Promise<Task> {
  const reply = await it.open(it.goodToken())
  expect(reply.status, reply.text).toBe(201)
  const { task, task_token } = JSON.parse(reply.text) as {
    task: { id: string; asks: { id: string }[] }
    task_token: string
  }
  return { id: task.id, token: task_token, ask: task.asks[0]!.id }
}

const post = (path: string, token: string | undefined, body: unknown): Promise<Reply> =>
  it.send({
    method: 'POST',
    path,
    token,
    type: JSON_TYPE,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const get = (path: string, token?: string): Promise<Reply> => it.send({ method: 'GET', path, token })

/** The good body with one member replaced by JSON text. */
const member = (name: string, json: string) => (good: Sent) => {
  const { [name]: _, ...rest } = JSON.parse(text(good)) as Record<string, unknown>
  return { body: `{${JSON.stringify(name)}:${json},${JSON.stringify(rest).slice(1)}` }
}
const more = (json: string) => (good: Sent) => ({ body: `{${json},${text(good).slice(1)}` })
const body = (bytes: string | Uint8Array) => () => ({ body: bytes })

describe('opening a task', () => {
  const invalid = (what: string, change: Row[1]): Row => [what, change, 400, 'request_invalid']
  const rows: readonly Row[] = [
    ...[
      '',
      'null',
      '[]',
      '"x"',
      '42',
      'true',
      '{',
      '{}',
      '{}{}',
      '{"a":1,}',
      "{'a':1}",
      '// x',
      'evidence=x',
      '\0',
      '\ufeff{}',
      ' '.repeat(1_000),
    ].map(it => invalid(`the body ${JSON.stringify(it.slice(0, 12))}`, body(it))),
    invalid('a list of bodies', good => ({ body: `[${text(good)}]` })),
    invalid('two bodies', good => ({ body: `${text(good)}\n${text(good)}` })),
    invalid('a byte order mark', good => ({ body: `\ufeff${text(good)}` })),
    invalid('UTF-16', good => ({ body: Buffer.from(text(good), 'utf16le') })),
    invalid('bytes that are not UTF-8', good => ({
      body: Buffer.from(text(good).replace('a test', '\xff'), 'latin1'),
    })),
    invalid('a compressed body', good => ({
      body: gzipSync(text(good)),
      headers: { 'content-encoding': 'gzip' },
    })),
    invalid('nesting 17 deep', more(`"x":${'['.repeat(17)}${']'.repeat(17)}`)),
    invalid('nesting 200 deep', more(`"x":${'['.repeat(200)}${']'.repeat(200)}`)),
    invalid('nesting 30 000 deep', body('['.repeat(30_000))),
    invalid('nesting 10 000 objects deep', body('{"a":'.repeat(10_000))),
    ...[
      '"evidence":{"type":"jwt","token":"x"}',
      '"purpose":"x"',
      '"authorization_details":[]',
      '"purp\\u006fse":"x"',
      '"x":{"a":1,"a":2}',
    ].map(it => invalid(`a member twice: ${it}`, more(it))),
    ...[
      '"__proto__":{"minutes":5}',
      '"constructor":{}',
      '"toString":1',
      '"x":1',
      '"Purpose":"x"',
      '"purpose ":"x"',
      '"$schema":"x"',
      '"task":{}',
      '"state":"active"',
      '"id":"tsk_1"',
      '"mintFirst":true',
      '"system":1',
      '"parent":"tsk_1"',
      '"":1',
    ].map(it => invalid(`an unknown member: ${it}`, more(it))),
    ...[
      'null',
      '"x"',
      '[]',
      '{}',
      '{"type":"jwt"}',
      '{"token":"x"}',
      '{"type":"JWT","token":"x"}',
      '{"type":"none","token":"x"}',
      '{"type":["jwt"],"token":"x"}',
      '{"type":"jwt","token":42}',
      '{"type":"jwt","token":null}',
      '{"type":"jwt","token":["x"]}',
      '{"type":"jwt","token":{"toString":"x"}}',
      '{"type":"jwt","token":"x","kid":"y"}',
      '{"type":"jwt","token":"\\ud800"}',
    ].map(it => invalid(`the evidence ${it}`, member('evidence', it))),
    ...[
      'null',
      '""',
      '42',
      '["x"]',
      '{}',
      JSON.stringify('x'.repeat(501)),
      '"a\\u0000b"',
      '"\\u001b[2J"',
      '"a\\u009bb"',
      '"a\\rb"',
      '"\\ud800"',
    ].map(it => invalid(`the purpose ${it.slice(0, 20)}`, member('purpose', it))),
    ...[
      '0',
      '-1',
      '1.5',
      '1441',
      '1e4',
      '1e309',
      '-1e400',
      '9007199254740993',
      '9'.repeat(400),
      '"5"',
      'null',
      'true',
      '[5]',
      '{}',
      'NaN',
      '0x5',
      '05',
      '+5',
      '1e-7',
    ].map(it => invalid(`minutes ${it.slice(0, 20)}`, member('minutes', it))),
    ...['9', '3601', '0', '-10', '10.5', '"10"', 'null', '1e9'].map(it =>
      invalid(`heartbeat_seconds ${it}`, member('heartbeat_seconds', it)),
    ),
    ...['""', 'null', '42', '["runner"]', '{}', JSON.stringify('x'.repeat(64))].map(it =>
      invalid(`the agent ${it.slice(0, 20)}`, member('agent', it)),
    ),
    ...['null', '42', '["x"]', '{}'].map(it => invalid(`the ticket ${it}`, member('ticket', it))),
    ...[
      'null',
      '{}',
      '"x"',
      '42',
      '[null]',
      '["jwt"]',
      '[[]]',
      '[{}]',
      '[{"type":42}]',
      '[{"type":null}]',
      '[{"type":""}]',
      '[{"type":["jwt"]}]',
      `[${Array(17).fill('{"type":"jwt"}').join()}]`,
      '[{"type":"jwt","__proto__":{}}]',
      '[{"type":"jwt","type":"github"}]',
      `{"length":1,"0":{"type":"jwt"}}`,
    ].map(it => invalid(`authorization_details ${it.slice(0, 30)}`, member('authorization_details', it))),
    ...['nobody', 'JWT', '__proto__', 'constructor', 'toString', 'jwt\\u0000', 'mayfly'].map(
      (it): Row => [
        `an ask of ${it}`,
        member('authorization_details', `[{"type":"${it}"}]`),
        400,
        'ask_invalid',
      ],
    ),
    ...[
      '{"type":"jwt"}',
      '{"type":"jwt","audience":"x","scopes":["*"],"admin":true}',
      '{"type":"github","repositories":"*","permissions":{}}',
      '{"type":"aws","role":"x","statements":[]}',
    ].map((it): Row => [`the ask ${it}`, member('authorization_details', `[${it}]`), 400, 'ask_invalid']),
    [
      'an ask above the ceiling',
      member('authorization_details', JSON.stringify([asks.api])),
      403,
      'ask_denied',
    ],
    [
      'a hundred scopes above the ceiling',
      member(
        'authorization_details',
        JSON.stringify([{ ...asks.orders, scopes: ['orders.read', 'orders.write'] }]),
      ),
      403,
      'ask_denied',
    ],
    ["an agent that is another's", member('agent', '"release"'), 403, 'agent_unmatched'],
    ['an agent of the prototype', member('agent', '"__proto__"'), 403, 'agent_unmatched'],
    ['an agent with a NUL', member('agent', '"runner\\u0000"'), 403, 'agent_unmatched'],
    ['a ticket that nobody gave', member('ticket', '"mfk_x"'), 403, 'ticket_rejected'],
    ...[
      'application/x-www-form-urlencoded',
      'text/json',
      'text/plain',
      'application/problem+json',
      'application/json5',
      'application/json, application/json',
      'application/*',
      '',
      'multipart/form-data; boundary=x',
      undefined,
    ].map((type): Row => [`the content type ${type}`, () => ({ type }), 415, 'request_invalid']),
    ['66 KiB', body(`{"purpose":"${'x'.repeat(66 * 1_024)}"}`), 413, 'request_invalid'],
  ]

  testUnharmed(it, () => {
    test.each(rows)('%s', async (_what, change, status, code) => {
      const good = openRequest(it.goodToken())
      expectProblem(await it.send({ ...good, ...change(good) }), status, code)
    })

    test('evidence in a header or the query is no evidence', async () => {
      const token = it.goodToken()
      const { evidence: _, ...rest } = JSON.parse(text(openRequest(token))) as Record<string, unknown>
      expectProblem(await post('/v1/tasks', token, rest), 400, 'request_invalid')
      expectProblem(await post(`/v1/tasks?evidence=${token}`, undefined, rest), 400, 'request_invalid')
    })
  })
})

describe('task and operator tokens', () => {
  let mine: Task
  let foreign: Task
  let ended: Task
  let operator: string
  beforeAll(async () => {
    mine = await openTask()
    foreign = await openTask()
    ended = await openTask()
    await post(`/v1/tasks/${ended.id}/complete`, ended.token, { outcome: 'completed' })
    operator = (await createOperatorToken(it.running.broker, 'ada')).token.reveal()
    it.keepSecret(operator)
  })

  const calls = (
    id: string,
    ask: string,
  ): readonly (readonly [method: string, path: string, body?: unknown])[] => [
    ['GET', `/v1/tasks/${id}`],
    ['POST', `/v1/tasks/${id}/credentials`, { ask }],
    ['POST', `/v1/tasks/${id}/credentials`, { authorization_details: [asks.orders] }],
    ['POST', `/v1/tasks/${id}/heartbeat`, {}],
    ['POST', `/v1/tasks/${id}/extend`, { minutes: 5, reason: 'more' }],
    ['POST', `/v1/tasks/${id}/complete`, { outcome: 'completed' }],
    ['POST', `/v1/tasks/${id}/tickets`, { agent: 'reviewer', minutes: 5, authorization_details: [] }],
  ]
  const call = (
    [method, path, json]: ReturnType<typeof calls>[number],
    token: string | undefined,
  ): Promise<Reply> =>
    it.send({
      method,
      path,
      token,
      ...(json === undefined ? {} : { type: JSON_TYPE, body: JSON.stringify(json) }),
    })
  const OPERATORS = [
    '/v1/agents',
    '/v1/tasks',
    '/v1/leases',
    '/v1/audit',
    '/v1/decisions/dec_x',
    '/v1/leases/lse_x',
  ]

  testUnharmed(it, () => {
    test('a token that is none, of another kind, or misspelled', async () => {
      const { token } = mine
      const swapped = token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')
      const bearers = [
        ...[
          it.goodToken(),
          it.ownTokens.access,
          operator,
          'x',
          'mft_',
          `mft_${'0'.repeat(49)}`,
          'null',
          'undefined',
          '__proto__',
          '*',
        ],
        ...[
          swapped,
          token.slice(0, -1),
          `${token}0`,
          token.toLowerCase(),
          token.toUpperCase(),
          token.replace('mft_', 'mfo_'),
          token.replace('mft_', 'mfk_'),
          `${token},${token}`,
          `"${token}"`,
          `${token}=`,
          token.replace('_', '%5f'),
          `${token}.`,
        ],
      ]
      const replies = await Promise.all(
        bearers.flatMap(bearer => calls(mine.id, mine.ask).map(one => call(one, bearer))),
      )
      expectAlike(replies, 401, 'unauthenticated')
      expect(replies[0]!.headers).toContain('www-authenticate: Bearer realm="mayfly"')
    })

    test('no token, or one that is not sent as a bearer', async () => {
      const { id, token } = mine
      const headers: Record<string, string>[] = [
        {},
        ...[
          '',
          'Bearer',
          'Bearer ',
          `Bearer  ${token}`,
          `Basic ${token}`,
          token,
          `Token ${token}`,
          `DPoP ${token}`,
          `Bearer:${token}`,
          `Bearer ${token} ${token}`,
          `Bearer\t${token}`,
          `Bearer ${token}\u00e9`,
          `"Bearer ${token}"`,
        ].map(authorization => ({ authorization })),
        { cookie: `token=${token}` },
        { 'x-authorization': `Bearer ${token}` },
        { 'proxy-authorization': `Bearer ${token}` },
        { 'x-forwarded-authorization': `Bearer ${token}` },
      ]
      const replies = await Promise.all([
        ...headers.map(one => it.send({ method: 'GET', path: `/v1/tasks/${id}`, headers: one })),
        get(`/v1/tasks/${id}?access_token=${token}`),
        get(`/v1/tasks/${id}?authorization=Bearer%20${token}`),
      ])
      expectAlike(replies, 401, 'unauthenticated')
    })

    test('another task looks like one that does not exist', async () => {
      const ids = [
        ...[
          foreign.id,
          ended.id,
          'tsk_unknown',
          mine.id.toUpperCase(),
          `${mine.id}x`,
          mine.id.slice(0, -1),
          '*',
          '0',
          '-1',
          'null',
          '__proto__',
          'constructor',
        ],
        ...[
          `${mine.id}%00`,
          `%20${mine.id}`,
          `${mine.id}%20`,
          `${mine.id}%0a`,
          `${mine.id};x`,
          `${foreign.id}%2f..%2f${mine.id}`,
          '..%2f..%2flivez',
          `${mine.id}%2f..%2f${foreign.id}`,
          `${mine.id},${foreign.id}`,
          `${mine.id}.json`,
          '%ff',
          '%',
          '%zz',
          'x'.repeat(2_000),
        ],
      ]
      const replies = await Promise.all(
        ids.flatMap(id => calls(id, foreign.ask).map(one => call(one, mine.token))),
      )
      expectAlike(replies, 404, 'not_found')
    })

    test('the ask of another task, and no ask at all', async () => {
      const asked = [
        foreign.ask,
        ended.ask,
        'ask_unknown',
        '',
        '__proto__',
        '\0',
        mine.ask.toUpperCase(),
        `${mine.ask} `,
        mine.id,
        'x'.repeat(5_000),
      ]
      const replies = await Promise.all(
        asked.map(ask => post(`/v1/tasks/${mine.id}/credentials`, mine.token, { ask })),
      )
      expectAlike(replies, 404, 'not_found')
    })

    test('an ended task gives nothing, and stays as it ended', async () => {
      for (const one of calls(ended.id, ended.ask).filter(
        ([method, path]) => method === 'POST' && !path.endsWith('/complete'),
      ))
        if (!one[1].endsWith('/tickets')) expectProblem(await call(one, ended.token), 409, 'task_not_active')
      const before = JSON.parse((await get(`/v1/tasks/${ended.id}`, ended.token)).text) as object
      await post(`/v1/tasks/${ended.id}/complete`, ended.token, { outcome: 'failed', detail: 'after all' })
      expect(JSON.parse((await get(`/v1/tasks/${ended.id}`, ended.token)).text)).toEqual(before)
    })

    const wrong: readonly (readonly [path: string, body: string])[] = [
      ...[
        '',
        'null',
        '[]',
        '{}',
        '{"ask":42}',
        '{"ask":null}',
        '{"ask":["x"]}',
        '{"ask":"x","authorization_details":[]}',
        '{"ask":"x","x":1}',
        '{"authorization_details":[]}',
        '{"authorization_details":[{"type":"jwt"},{"type":"jwt"}]}',
        '{"ask":"a","ask":"b"}',
        '{"__proto__":{"ask":"x"}}',
      ].map(it => ['credentials', it] as const),
      ...[
        '{}',
        '{"minutes":5}',
        '{"reason":"x"}',
        '{"minutes":0,"reason":"x"}',
        '{"minutes":1e400,"reason":"x"}',
        '{"minutes":"5","reason":"x"}',
        '{"minutes":1441,"reason":"x"}',
        '{"minutes":5,"reason":""}',
        '{"minutes":5,"reason":"a\\u0000"}',
        `{"minutes":5,"reason":"${'x'.repeat(501)}"}`,
        '{"minutes":5,"reason":"x","deadline":1}',
      ].map(it => ['extend', it] as const),
      ...[
        '{}',
        '{"outcome":"COMPLETED"}',
        '{"outcome":"revoked"}',
        '{"outcome":"expired"}',
        '{"outcome":null}',
        '{"outcome":["completed"]}',
        '{"outcome":"completed","outcome":"failed"}',
        '{"outcome":"failed","detail":"\\u0000"}',
        `{"outcome":"failed","detail":"${'x'.repeat(501)}"}`,
        '{"outcome":"failed","end":"completed"}',
      ].map(it => ['complete', it] as const),
      ...[
        '{}',
        '{"agent":"reviewer"}',
        '{"agent":"reviewer","minutes":5}',
        '{"agent":"","minutes":5,"authorization_details":[]}',
        '{"agent":"reviewer","minutes":-5,"authorization_details":[]}',
        '{"agent":"reviewer","minutes":5,"authorization_details":null}',
        '{"agent":"reviewer","minutes":5,"authorization_details":[],"x":1}',
      ].map(it => ['tickets', it] as const),
    ]
    test.each(wrong)('%s with the body %s', async (path, json) => {
      expectProblem(await post(`/v1/tasks/${mine.id}/${path}`, mine.token, json), 400, 'request_invalid')
    })

    test('an operator route is no place for a task token, nor for any other', async () => {
      const bearers = [
        mine.token,
        it.ownTokens.access,
        it.goodToken(),
        'x',
        operator.slice(0, -1),
        operator.toLowerCase(),
        operator.replace('mfo_', 'mft_'),
      ]
      const replies = await Promise.all(
        bearers.flatMap(token => [
          ...OPERATORS.map(path => get(path, token)),
          post('/v1/revocations', token, { everything: true, reason: 'x' }),
        ]),
      )
      expectAlike(replies, 401, 'unauthenticated')
      expectAlike(await Promise.all(OPERATORS.map(path => get(path))), 401, 'unauthenticated')
    })

    test.each([
      ...[
        'limit=0',
        'limit=-1',
        'limit=101',
        'limit=1e9',
        'limit=NaN',
        'limit=1.5',
        'limit=1&limit=2',
        'state=nobody',
        'state=',
        'state[]=active',
        'x=1',
        'LIMIT=1',
        'agent=',
        `agent=${'x'.repeat(64)}`,
        'after=x',
        'after=',
        'after=%00',
        'after=W10',
        'after=bnVsbA',
        'after=__proto__',
        '%5f_proto__=x',
      ],
    ])("the operators' query %s", async query => {
      for (const path of ['/v1/tasks', '/v1/leases'])
        expectProblem(await get(`${path}?${query}`, operator), 400, 'request_invalid')
    })

    test.each([
      ...[
        '',
        'null',
        '{}',
        '{"reason":"x"}',
        '{"everything":true}',
        '{"everything":false,"reason":"x"}',
        '{"everything":"true","reason":"x"}',
        '{"task":"","reason":"x"}',
        '{"lease":"","reason":"x"}',
        '{"issuer":7,"reason":"x"}',
        '{"agent":"y","hold":"true","reason":"x"}',
        '{"agent":"y","dry_run":1,"reason":"x"}',
        '{"task":"x","everything":true,"reason":"x"}',
        '{"task":null,"reason":"x"}',
        '{"agent":"","reason":"x"}',
        '{"agent":"release","reason":""}',
        '{"agent":"release","reason":"\\u0000"}',
        '{"everything":true,"reason":"x","x":1}',
        '{"task":"a","task":"b","reason":"x"}',
        '{"__proto__":{"everything":true},"reason":"x"}',
      ],
    ])('the revocation %s', async json => {
      expectProblem(await post('/v1/revocations', operator, json), 400, 'request_invalid')
    })

    test.each([
      { agent: 'nobody' },
      { agent: '__proto__' },
      { agent: 'release\0' },
      { issuer: '__proto__' },
      { issuer: 'gihub', agent: 'release' },
    ])('a revocation of an agent or issuer that nobody knows: %j', async target => {
      const order = { ...target, hold: true, reason: 'x' }
      expectProblem(await post('/v1/revocations', operator, order), 404, 'target_unknown')
    })

    test('a revocation of what does not exist reaches nothing', async () => {
      for (const target of [{ task: 'tsk_x' }, { lease: 'lse_x' }, { task: '*' }]) {
        const reply = await post('/v1/revocations', operator, { ...target, reason: 'x' })
        expect(reply.status).toBe(202)
        expect(JSON.parse(reply.text)).toMatchObject({ tasks_ended: 0, credentials: { reached: 0 } })
      }
    })

    test.each([
      ['/nothing', 404],
      ['/', 404],
      ['/v1', 401],
      ['/v1/', 401],
      ['/v2/tasks', 404],
      ['//v1/tasks', 404],
      ['/V1/tasks', 404],
      ['/livez/', 404],
      ['/livez/x', 404],
      ['/.well-known', 404],
      ['/.well-known/', 404],
      ['/.well-known/jwks.json/', 404],
      ['/.well-known/../.env', 404],
      ['/.git/config', 404],
      ['/..%2f..%2fetc%2fpasswd', 404],
      ['/%2e%2e/%2e%2e/etc/passwd', 404],
      ['/%00', 404],
      ['/%', 404],
      ['/%ff', 404],
      ['/?x', 404],
      ['/__proto__', 404],
      ['/constructor', 404],
    ] as const)('the path %s', async (path, status) => {
      expectProblem(await get(path), status, status === 404 ? 'not_found' : 'unauthenticated')
    })

    test('what was not asked for in the right way is still as it was', async () => {
      for (const task of [mine, foreign]) {
        const seen = JSON.parse((await get(`/v1/tasks/${task.id}`, task.token)).text) as object
        expect(seen).toMatchObject({ state: 'active', end: null, credentials: [] })
      }
    })
  })
})
