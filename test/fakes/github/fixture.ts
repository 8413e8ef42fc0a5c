/** One GitHub with an account on it, and callers that speak to it through Octokit over its socket. */
import { constants, randomBytes, sign } from 'node:crypto'
import { request } from '@octokit/request'
import { expect } from 'vitest'
import { type Github, standingAppKey, startGithub } from './github.ts'
import { createSchemaJudge } from './schema-judge.ts'

/** `data` is what was parsed; a refusal is a reply too. */
export type Reply = { status: number; data: unknown; headers: Record<string, unknown> }
export type Minted = {
  token: string
  expires_at: string
  permissions: Record<string, string>
  repository_selection: string
  repositories?: { id: number; name: string }[]
}

export const appId = 424_242
export const clientId = 'Iv23liMayflyTest'
export const installationId = 77
export const startMs = Date.UTC(2026, 10, 22, 9, 30, 0, 250)

/** acme: api (1) and web (2) private, docs (3) public; web2 (4) outside the selection; other/secret (9). */
export type World = {
  github: Github & { url: string; close(): Promise<void> }
  clock: { ms: number }
  privateKeyPem: string
  jwt(claims?: Record<string, unknown>, header?: Record<string, unknown>, keyPem?: string): string
  call(authorization: string | undefined, route: string, parameters?: Record<string, unknown>): Promise<Reply>
  mint(body?: Record<string, unknown>): Promise<Reply>
  token(body?: Record<string, unknown>): Promise<string>
}

export async function createWorld(): Promise<World> {
  const { privateKeyPem, publicKeyPem } = standingAppKey()
  const clock = { ms: startMs }
  const github = await startGithub({ now: () => clock.ms, random: bytes => randomBytes(bytes) })
  github.addApp({ appId, clientId, slug: 'mayfly', publicKeyPem })
  const files = { 'README.md': 'hello', 'src/main.ts': 'export {}', '.github/workflows/ci.yml': 'on: push' }
  github.addRepository({ id: 1, owner: 'acme', name: 'api', files, branches: ['fix'] })
  github.addRepository({ id: 2, owner: 'acme', name: 'web' })
  github.addRepository({ id: 3, owner: 'acme', name: 'docs', private: false, files })
  github.addRepository({ id: 4, owner: 'acme', name: 'web2' })
  github.addRepository({ id: 9, owner: 'other', name: 'secret' })
  github.addInstallation({
    id: installationId,
    appId,
    account: 'acme',
    accountId: 5001,
    repositories: [1, 2, 3],
    permissions: { contents: 'write', issues: 'write', pull_requests: 'write', actions: 'read' },
  })
  const jwt: World['jwt'] = (claims = {}, header = {}, keyPem = privateKeyPem) =>
    signJwt({ alg: 'RS256', typ: 'JWT', ...header }, { ...goodClaims(clock.ms), ...claims }, keyPem)
  const call = createCaller(github)
  const mint: World['mint'] = (body = {}) =>
    call(`bearer ${jwt()}`, 'POST /app/installations/{installation_id}/access_tokens', {
      installation_id: installationId,
      ...body,
    })
  const token: World['token'] = async body => `token ${minted(await mint(body)).token}`
  return { github, clock, privateKeyPem, jwt, call, mint, token }
}

/** @throws when the reply is not a mint's */
export function minted(reply: Reply): Minted {
  expect(reply).toMatchObject({ status: 201, data: { token: expect.any(String) } })
  return reply.data as Minted
}

/** The refusal GitHub's clients see: status and message. */
export function refusal(status: number, message: string | RegExp) {
  const data = { message: expect.stringMatching(message), documentation_url: expect.any(String) }
  return { status, data: { ...data, status: String(status) } }
}

function goodClaims(nowMs: number): Record<string, unknown> {
  const nowSeconds = Math.floor(nowMs / 1000)
  return { iss: clientId, iat: nowSeconds - 60, exp: nowSeconds + 540 }
}

function signJwt(header: Record<string, unknown>, claims: Record<string, unknown>, keyPem: string): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode(header)}.${encode(claims)}`
  const padding = header.alg === 'PS256' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const signature = sign('sha256', Buffer.from(signed), { key: keyPem, padding, saltLength: 32 })
  return `${signed}.${signature.toString('base64url')}`
}

/** Every good answer is held against GitHub's description of it on the way. */
function createCaller(github: { url: string }): World['call'] {
  const judge = createSchemaJudge()
  return async (authorization, route, parameters = {}) => {
    const headers = authorization === undefined ? {} : { authorization }
    try {
      const reply = await request(route, { baseUrl: github.url, headers, ...parameters })
      const { pathname } = new URL(reply.url)
      const match = judge.match(route.split(' ')[0]!, pathname)
      if (match !== undefined && typeof reply.data !== 'string') {
        expect(judge.judgeAnswer(match.operationId, reply.status, reply.data)).toEqual([])
      }
      return { status: reply.status, data: reply.data, headers: reply.headers }
    } catch (error) {
      // Octokit throws every refusal; one without a response is a connection that broke.
      const { response } = error as { response?: Reply }
      if (response === undefined) throw error
      const { status, data, headers: answered } = response
      return { status, data, headers: answered }
    }
  }
}
