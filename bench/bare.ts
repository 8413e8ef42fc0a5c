/**
 * What the exchange is measured against: the same libraries and the same cryptography with nothing around
 * them. Hono on node-server, jose for the evidence, node:crypto for the answer, node:sqlite or pg for what has
 * to last: the use of the evidence, the task, the lease and an audit row. It judges nothing, limits nothing,
 * seals nothing, and forgets what it cannot be asked for; nobody should run it.
 *
 *   node bench/bare.ts each|grouped DATABASE JWKS_FILE ISSUER AUDIENCE
 *
 * `each`: one durable commit of its own for every request. `grouped`: requests that wait together share one.
 * DATABASE is a path, or the URL of a PostgreSQL database. Prints its URL once it listens.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { openBarePostgres } from './bare-postgres.ts'
import { openBareSqlite } from './bare-sqlite.ts'

/** What one request leaves behind. */
export type Row = { evidence: string; agent: string; ask: string; at: number; task: string; token: string }
/** Resolves when it is durable. */
export type Commit = (row: Row) => Promise<void>

const [how = '', path = '', jwksFile = '', issuer = '', audience = ''] = process.argv.slice(2)
const keys = createLocalJWKSet(JSON.parse(readFileSync(jwksFile, 'utf8')) as JSONWebKeySet)
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
// As the broker does: said beside the key, node:crypto signs in half the time.
const signingKey = Object.assign(privateKey, { dsaEncoding: 'ieee-p1363' } as const)
const header = base64url(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'bare' }))
const open = path.startsWith('postgres:') ? openBarePostgres : openBareSqlite
const commit = (await open(path))[how === 'grouped' ? 'grouped' : 'each']()

const app = new Hono()
app.post('/oauth/token', async c => {
  const form = new URLSearchParams(await c.req.text())
  const [ask] = JSON.parse(form.get('authorization_details') ?? '[]') as { audience: string }[]
  const { payload } = await jwtVerify(form.get('subject_token') ?? '', keys, { issuer, audience })
  const at = Date.now()
  const iat = Math.floor(at / 1000)
  const task = randomBytes(16).toString('hex')
  const token = randomBytes(32).toString('base64url')
  const claims = { iss: audience, sub: payload.sub, aud: ask?.audience, iat, exp: iat + 900, jti: task, task }
  const jwt = signJwt(claims)
  const evidence = hash(JSON.stringify(['jti', payload.iss, payload.jti]))
  await commit({ evidence, agent: payload.sub ?? '', ask: JSON.stringify(ask), at, task, token: hash(token) })
  return c.json({
    access_token: jwt,
    token_type: 'Bearer',
    expires_in: 900,
    authorization_details: [ask],
    task_id: task,
    task_token: token,
  })
})

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
server.on('listening', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})

function signJwt(claims: object): string {
  const input = `${header}.${base64url(JSON.stringify(claims))}`
  const signature = sign('sha256', Buffer.from(input), signingKey)
  return `${input}.${signature.toString('base64url')}`
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}
