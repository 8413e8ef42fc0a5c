import { createAppAuth } from '@octokit/auth-app'
import { request } from '@octokit/request'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appId, clientId, createWorld, refusal, startMs, type World } from './fixture.ts'
import { generateAppKey } from './github.ts'

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world.github.close())

const nowSeconds = Math.floor(startMs / 1000)
const undecodable = refusal(401, 'A JSON web token could not be decoded')

describe('the App proves itself with a JWT', () => {
  const getApp = (jwt: string, scheme = 'bearer') => world.call(`${scheme} ${jwt}`, 'GET /app')

  test.each([
    ['the client id as issuer', { iss: clientId }],
    ['the App id as issuer', { iss: appId }],
    ['the App id as a string', { iss: String(appId) }],
    ['ten minutes from now, dated a minute back', { iat: nowSeconds - 60, exp: nowSeconds + 600 }],
    ['a clock sixty seconds fast', { iat: nowSeconds + 60 }],
  ])('accepted: %s', async (_, claims) => {
    expect(await getApp(world.jwt(claims))).toMatchObject({
      status: 200,
      data: { id: appId, slug: 'mayfly' },
    })
  })

  const expMessage = /'Expiration time' claim \('exp'\) must be a numeric value/
  test.each([
    ['more than ten minutes', { exp: nowSeconds + 601 }, refusal(401, /\('exp'\) is too far in the future/)],
    ['an hour', { exp: nowSeconds + 3600 }, refusal(401, /\('exp'\) is too far in the future/)],
    ['expired this second', { exp: nowSeconds }, refusal(401, expMessage)],
    ['no exp', { exp: undefined }, refusal(401, expMessage)],
    ['exp as a string', { exp: String(nowSeconds + 60) }, refusal(401, expMessage)],
    ['no iat', { iat: undefined }, refusal(401, /'Issued at' claim \('iat'\) must be an Integer/)],
    ['iat beyond a minute ahead', { iat: nowSeconds + 61 }, refusal(401, /'Issued at' claim \('iat'\)/)],
    ['no issuer', { iss: undefined }, refusal(401, /'issuer' claim/)],
    ['an unknown issuer', { iss: 'Iv23liNobody' }, refusal(404, 'Integration not found')],
  ])('refused: %s', async (_, claims, expected) => {
    expect(await getApp(world.jwt(claims))).toMatchObject(expected)
  })

  test('refused: another key, PS256, none, a cut signature, a second spelling of it', async () => {
    const jwt = world.jwt()
    const stripped = jwt.slice(0, jwt.lastIndexOf('.') + 1)
    const spellings = [
      world.jwt({}, {}, generateAppKey().privateKeyPem),
      world.jwt({}, { alg: 'PS256' }),
      world.jwt({}, { alg: 'none' }),
      stripped,
      `${jwt}=`,
      'a.b.c',
    ]
    for (const spelling of spellings) expect(await getApp(spelling)).toMatchObject(undecodable)
  })

  test('refused: nothing, a token of an installation, a made-up token', async () => {
    expect(await world.call(undefined, 'GET /app')).toMatchObject(undecodable)
    expect(await world.call(await world.token(), 'GET /app')).toMatchObject(undecodable)
    expect(await getApp('ghp_unknown')).toMatchObject(refusal(401, 'Bad credentials'))
  })

  test('@octokit/auth-app signs one that is accepted', async () => {
    world.clock.ms = Date.now()
    const base = request.defaults({ baseUrl: world.github.url })
    const { hook } = createAppAuth({ appId: clientId, privateKey: world.privateKeyPem, request: base })
    const reply = await base.defaults({ request: { hook } })('GET /app')
    expect(reply.data).toMatchObject({ id: appId, client_id: clientId })
  })
})
