import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatAsk, parseAsk, parseAskJson, readAsks } from '../../src/cli/ask.ts'
import { namesOf } from '../../src/cli/child-environment.ts'
import { CommandError, EXIT } from '../../src/cli/terminal.ts'

const ROLE = 'arn:aws:iam::123456789012:role/deploy'

describe('the forms', () => {
  test.each([
    [
      'github=acme/api:contents:write',
      { type: 'github', repositories: ['acme/api'], permissions: { contents: 'write' } },
    ],
    [
      'prod-gh=acme/api+acme/web.js:contents:write,issues:read',
      {
        type: 'prod-gh',
        repositories: ['acme/api', 'acme/web.js'],
        permissions: { contents: 'write', issues: 'read' },
      },
    ],
    [
      'jwt=https://orders.example.com:8443/v1#orders.read,orders.write',
      {
        type: 'jwt',
        audience: 'https://orders.example.com:8443/v1',
        scopes: ['orders.read', 'orders.write'],
      },
    ],
    ['jwt=https://orders.example.com#', { type: 'jwt', audience: 'https://orders.example.com' }],
    ['jwt=acme/api:x#s', { type: 'jwt', audience: 'acme/api:x', scopes: ['s'] }],
    [
      `aws=${ROLE}#s3:GetObject,s3:List*@arn:aws:s3:::bucket/*,arn:aws:s3:::bucket`,
      {
        type: 'aws',
        role: ROLE,
        statements: [
          {
            actions: ['s3:GetObject', 's3:List*'],
            resources: ['arn:aws:s3:::bucket/*', 'arn:aws:s3:::bucket'],
          },
        ],
      },
    ],
  ])('%s', (text, ask) => {
    expect(parseAsk(text)).toEqual(ask)
    expect(formatAsk(ask)).toBe(text)
  })

  test.each([
    ['github', 'ISSUER=OWNER/REPO'],
    ['=acme/api:contents:read', 'ISSUER=OWNER/REPO'],
    ['GitHub=acme/api:contents:read', 'ISSUER=OWNER/REPO'],
    ['github=', 'ISSUER=OWNER/REPO'],
    ['github=acme/api', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme:contents:read', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api:contents', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api:contents:all', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api:contents:read,', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api:contents:read,contents:write', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api+acme/api:contents:read', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['github=acme/api+:contents:read', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['jwt=https://orders.example.com:orders.read', 'OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL'],
    ['jwt=#orders.read', 'AUDIENCE#SCOPE'],
    ['jwt=https://orders.example.com#orders.read,', 'AUDIENCE#SCOPE'],
    ['jwt=https://orders.example.com#a#b', 'AUDIENCE#SCOPE'],
    [`aws=${ROLE}`, 'ROLE_ARN#ACTION'],
    [`aws=${ROLE}#s3:GetObject`, 'ROLE_ARN#ACTION'],
    [`aws=${ROLE}#GetObject@*`, 'ROLE_ARN#ACTION'],
    ['aws=arn:aws:iam::1:role/deploy#s3:GetObject@*', 'ROLE_ARN#ACTION'],
  ])('%s is refused, and the message shows what was expected', (text, expected) => {
    const refused = caught(() => parseAsk(text))
    expect(refused.exitCode).toBe(EXIT.usage)
    expect(refused.message).toContain(expected)
    expect(refused.message).toContain('like ')
  })
})

describe('whatever can be written is read back as it was', () => {
  const word = (characters: string) =>
    fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength: 12 })
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const some = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { minLength: 1, maxLength: 4 })
  const printableWithout = (excluded: string) =>
    word(
      Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))
        .filter(character => !excluded.includes(character))
        .join(''),
    )
  const type = fc.tuple(fc.constantFrom(...letters), word(`${letters}0-`)).map(parts => parts.join(''))
  const name = word(`${letters}0-`)
  // Answers and arguments come from JSON: their objects have a prototype.
  const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
    fc.record(model, { noNullPrototype: true })
  const github = record({
    type,
    repositories: some(fc.tuple(name, word(`${letters}0-._`)).map(([owner, repo]) => `${owner}/${repo}`)),
    permissions: some(fc.tuple(word(`${letters}_`), fc.constantFrom('read', 'write', 'admin')))
      .map(pairs => Object.fromEntries(pairs) as Record<string, string>)
      .filter(permissions => Object.keys(permissions).length > 0),
  })
  const jwt = record({
    type,
    audience: printableWithout('#').filter(text => !text.startsWith('arn:')),
    scopes: some(printableWithout('#,"\\')),
  })
  const aws = record({
    type,
    role: word(`${letters}/@,=+.`).map(path => `arn:aws:iam::123456789012:role/${path}`),
    statements: record({
      actions: some(fc.tuple(word(letters), word(`${letters}*?`)).map(parts => parts.join(':'))),
      resources: some(printableWithout(',')),
    }).map(statement => [statement]),
  })

  test('ask to text to ask', () => {
    fc.assert(
      fc.property(fc.oneof(github, jwt, aws), ask => {
        const text = formatAsk(ask)
        expect(text).toBeDefined()
        expect(parseAsk(text!)).toEqual(ask)
      }),
    )
  })

  test('any text is read or refused, and what is read can be written', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), word('g=a/:#,+@*arn:')), text => {
        let ask: ReturnType<typeof parseAsk>
        try {
          ask = parseAsk(text)
        } catch (error) {
          expect(error).toBeInstanceOf(CommandError)
          return
        }
        expect(parseAsk(formatAsk(ask)!)).toEqual(ask)
      }),
    )
  })

  test('what no form can say is not said in part', () => {
    expect(
      formatAsk({ type: 'github', repository_ids: [1], permissions: { contents: 'read' } }),
    ).toBeUndefined()
    expect(formatAsk({ type: 'jwt', audience: 'a#b', scopes: ['s'] })).toBeUndefined()
    expect(formatAsk({ type: 'vault', path: 'kv/x' })).toBeUndefined()
    const statement = { actions: ['s3:GetObject'], resources: ['*'] }
    expect(formatAsk({ type: 'aws', role: ROLE, statements: [statement, statement] })).toBeUndefined()
    expect(
      formatAsk({ type: 'aws', role: ROLE, statements: [statement], allow_iam_writes: true }),
    ).toBeUndefined()
  })

  test('what the broker adds to an ask does not hide it', () => {
    const granted = { repositories: [{ id: 1, name: 'acme/api' }], permissions: { contents: 'write' } }
    expect(formatAsk({ type: 'github', ...granted })).toBe('github=acme/api:contents:write')
  })
})

test('--ask-json takes one object with a type', () => {
  expect(parseAskJson('{"type":"vault","path":"kv/x"}')).toEqual({ type: 'vault', path: 'kv/x' })
  for (const text of ['', '[]', '{}', '{"type":1}', 'null', '"github"'])
    expect(caught(() => parseAskJson(text)).exitCode).toBe(EXIT.usage)
})

test('more asks than one request takes are refused', () => {
  const ask = Array.from({ length: 17 }, (_, index) => `jwt=a${index}#`)
  expect(caught(() => readAsks({ ask })).message).toContain('at most 16')
})

function caught(run: () => unknown): CommandError {
  try {
    run()
  } catch (error) {
    if (error instanceof CommandError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

test('the variable of a team’s issuer is one that a shell takes, and no other issuer’s', () => {
  const names = ['payments.jwt', 'payments-jwt', 'jwt'].flatMap(type => namesOf({ type, audience: 'a' }))
  expect(parseAsk('payments.jwt=https://a#b').type).toBe('payments.jwt')
  expect(names).toEqual(['MAYFLY_TOKEN_PAYMENTS__JWT', 'MAYFLY_TOKEN_PAYMENTS_JWT', 'MAYFLY_TOKEN_JWT'])
})
