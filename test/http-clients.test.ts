/** OAuth clients that are not ours, unchanged. */

import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import {
  AUDIENCE,
  asks,
  createInstallation,
  type Installation,
  ORDERS,
  RESOURCE_SERVER,
  startBroker,
} from './fakes/installation.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
let installation: Installation
let broker: RunningServer

beforeAll(async () => {
  installation = await createInstallation()
  // Discovery compares the issuer with where it was found, so the name must be the real address.
  broker = await startBroker(installation)
  const { port } = new URL(broker.url)
  await broker.stop()
  await installation.configure({
    settings: { public_url: `http://127.0.0.1:${port}`, listen: { host: '127.0.0.1', port: Number(port) } },
  })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const parameters = async () => ({
  subject_token: await installation.jobToken(),
  subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  authorization_details: JSON.stringify([asks.orders]),
})

describe('openid-client', () => {
  test('discovers, exchanges, introspects and revokes', async () => {
    const options = { execute: [client.allowInsecureRequests] }
    const config = await client.discovery(new URL(broker.url), 'any', undefined, client.None(), options)
    const tokens = await client.genericGrantRequest(config, TOKEN_EXCHANGE, await parameters())
    expect(tokens.token_type).toBe('bearer')
    expect(tokens.expiresIn()).toBeGreaterThan(60)

    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri!))
    const verified = await jwtVerify(tokens.access_token, keys, {
      issuer: broker.url,
      audience: ORDERS,
      typ: 'at+jwt',
      algorithms: ['ES256'],
    })
    expect(verified.payload).toMatchObject({ sub: 'release', client_id: 'release', scope: 'orders.read' })

    const server = await client.discovery(
      new URL(broker.url),
      RESOURCE_SERVER.id,
      RESOURCE_SERVER.secret,
      client.ClientSecretBasic(RESOURCE_SERVER.secret),
      options,
    )
    expect(await client.tokenIntrospection(server, tokens.access_token)).toMatchObject({
      active: true,
      aud: ORDERS,
    })
    await client.tokenRevocation(config, String(tokens.task_token))
    expect(await client.tokenIntrospection(server, tokens.access_token)).toEqual({ active: false })
  })
})

const assertion = async () => ({
  assertion: await installation.jobToken(),
  authorization_details: JSON.stringify([asks.orders]),
})

describe('openid-client, jwt-bearer', () => {
  test('discovers the grant, is given a task, and ends it', async () => {
    const options = { execute: [client.allowInsecureRequests] }
    const config = await client.discovery(new URL(broker.url), 'any', undefined, client.None(), options)
    expect(config.serverMetadata().grant_types_supported).toEqual([TOKEN_EXCHANGE, JWT_BEARER])
    const tokens = await client.genericGrantRequest(config, JWT_BEARER, await assertion())
    expect(tokens).toMatchObject({ token_type: 'bearer', task_id: expect.stringMatching(/^tsk_/) })
    await client.tokenRevocation(config, String(tokens.task_token))
    const task = await broker.broker.ledger.read.task(String(tokens.task_id))
    expect(task).toMatchObject({ end: 'cancelled', purpose: 'jwt-bearer grant' })
  })
})

describe('oauth4webapi', () => {
  test('exchanges by RFC 8414 metadata, and reads a refusal as the RFCs have it', async () => {
    const insecure = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(broker.url)
    const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
    const server = await oauth.processDiscoveryResponse(issuer, found)
    const exchange = async (extra: Record<string, string>) =>
      oauth.processGenericTokenEndpointResponse(
        server,
        { client_id: 'any' },
        await oauth.genericTokenEndpointRequest(
          server,
          { client_id: 'any' },
          oauth.None(),
          TOKEN_EXCHANGE,
          new URLSearchParams({ ...(await parameters()), ...extra }),
          insecure,
        ),
      )
    expect((await exchange({})).access_token).toMatch(/^ey/)
    const wide = JSON.stringify([{ ...asks.orders, scopes: ['orders.admin'] }])
    await expect(exchange({ authorization_details: wide })).rejects.toMatchObject({ error: 'invalid_scope' })
    await expect(exchange({ subject_token: 'e30.e30.AAAA' })).rejects.toMatchObject({
      error: 'invalid_request',
    })
  })

  test('presents an assertion, which is good once, and reads a refusal as RFC 7523 has it', async () => {
    const insecure = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(broker.url)
    const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
    const server = await oauth.processDiscoveryResponse(issuer, found)
    expect(server.grant_types_supported).toContain(JWT_BEARER)
    const present = async (form: Record<string, string>) =>
      oauth.processGenericTokenEndpointResponse(
        server,
        { client_id: 'any' },
        await oauth.genericTokenEndpointRequest(
          server,
          { client_id: 'any' },
          oauth.None(),
          JWT_BEARER,
          new URLSearchParams(form),
          insecure,
        ),
      )
    const good = { ...(await assertion()), audience: ORDERS, resource: 'jwt' }
    expect((await present(good)).access_token).toMatch(/^ey/)
    await expect(present({ ...good, purpose: 'again' })).rejects.toMatchObject({ error: 'invalid_grant' })
    const two = { aud: [AUDIENCE, 'https://other.test'] }
    for (const bad of ['', 'e30.e30.AAAA', await installation.jobToken(two)])
      await expect(present({ ...good, assertion: bad })).rejects.toMatchObject({
        error: 'invalid_grant',
        error_description: 'the assertion was not accepted as evidence',
      })
    const other = await installation.jobToken({ repository_id: '99' })
    await expect(present({ ...good, assertion: other })).rejects.toMatchObject({ error: 'invalid_grant' })
  })
})
