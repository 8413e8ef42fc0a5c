/** What docs/attestors says is what there is: each configuration loads, each claim is there, each example is taken. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadConfig } from '../../src/config.ts'
import { matchAgent } from '../../src/policy/match-agent.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { SAMPLES, type Sample } from './docs-samples.ts'
import { jwt, NOON, open } from './issuer-subject.ts'

const folder = join(import.meta.dirname, '../../docs/attestors')
const index = readFileSync(join(folder, 'README.md'), 'utf8')
/** Pages about signed tokens; those about SPIFFE have tests of their own. */
const PAGES = ['aws-web-identity', 'github-actions', 'gitlab-ci', 'google-cloud', 'kubernetes', 'oidc'].map(
  name => {
    const text = readFileSync(join(folder, `${name}.md`), 'utf8')
    const blocks = [...text.matchAll(/```yaml\n# (\S+)\n([\s\S]*?)```/g)].map(([, file = '', yaml = '']) => ({
      file,
      yaml: parse(yaml),
    }))
    return { name, text, blocks, type: attestorTypes.find(({ type }) => type === name)! }
  },
)
const forger = createForger({ algorithm: 'RS256', kid: 'good' })

test('the index names every type, and every page is in it', () => {
  for (const { type } of attestorTypes) expect(index).toContain(`\`${type}\``)
  for (const page of readdirSync(folder).filter(name => name !== 'README.md'))
    expect(index).toContain(`(${page})`)
  for (const [, link = ''] of index.matchAll(/\]\(([^)]+\.md)\)/g))
    expect(existsSync(join(folder, link))).toBe(true)
})

describe.each(PAGES)('$name', ({ text, blocks, type }) => {
  const attestors = Object.assign({}, ...blocks.map(({ yaml }) => yaml.attestors ?? {}))
  const rules = blocks.filter(({ file }) => file.startsWith('agents/')).flatMap(({ yaml }) => yaml.attest)
  const loaded = () =>
    load(attestors, rules, Object.assign({}, ...blocks.map(({ yaml }) => yaml.outbound ?? {})))

  test('its configurations are what the broker takes, rules and all', async () => {
    expect(rules.length).toBeGreaterThan(0)
    expect((await loaded()).agents).toHaveLength(rules.length)
  })

  test('every setting and every claim is on it, with who decides it', async () => {
    const { settings } = await loaded()
    for (const instance of Object.values(settings.attestors)) {
      for (const key of Object.keys(instance.settings as object)) expect(text).toContain(`\`${key}\``)
      const { claimTypes = {}, callerChosen = {} } = type.rules?.(instance.settings) ?? {}
      const rows = text.split('\n').filter(line => line.startsWith('| `'))
      for (const claim of Object.keys(claimTypes)) {
        const row = rows.find(line => line.split('|')[1]?.includes(`\`${claim}\``)) ?? text
        expect(text).toContain(claim)
        const beside = callerChosen[claim]
        if (typeof beside === 'string') expect(row).toMatch(new RegExp(`the caller.*\`${beside}\``))
      }
    }
  })

  test('tokens as their issuers make them are taken, and are that agent’s and nobody else’s', async () => {
    const { settings, agents } = await loaded()
    for (const [name, instance] of Object.entries(settings.attestors)) {
      const sample = SAMPLES[name]
      if (sample === undefined) continue
      const chosen = instance.settings as { issuer: string; audience: string; jwks_uri?: string }
      const attestor = open(
        type,
        { ...instance.declared, ...forThisTest(instance.declared) },
        {
          now: () => NOON,
          fetch: async url => answer(url, chosen, sample),
        },
      )
      const attest = (changes: object = {}) => attestor.attest(jwt(tokenOf(chosen, sample, changes)))
      const verdict = await attest()
      expect(verdict).toMatchObject({ ok: true })
      const own = agents.filter(({ attest }) => attest.some(rule => rule.attestor === name))
      const match = (found: Awaited<ReturnType<typeof attest>>) =>
        found.ok && matchAgent(own, { ...found.proof, attestor: name }, undefined, NOON).ok
      if (own.length > 0) expect(match(verdict)).toBe(true)
      for (const stranger of sample.strangers)
        expect([stranger, match(await attest(stranger))]).toEqual([stranger, false])
    }
  })
})

test('every sample is of an attestor that a page shows', () => {
  const shown = PAGES.flatMap(({ blocks }) => blocks.flatMap(({ yaml }) => Object.keys(yaml.attestors ?? {})))
  expect(Object.keys(SAMPLES).filter(name => !shown.includes(name))).toEqual([])
})

const ORDERS = {
  type: 'signed-jwt',
  audiences: [{ audience: 'https://orders.example.com', scopes: ['read'] }],
}

/** The loader of `mayfly check`, over files that are in memory. */
function load(attestors: object, rules: readonly object[], outbound: object) {
  const common = {
    ...{
      owner: { business: 'a@example.com', technical: 'b@example.com' },
      purpose: 'of a page',
      risk_tier: 'low',
    },
    ...{ systems: ['api'], expires_at: '2040-01-01T00:00:00Z', ceiling: { jwt: [{}] } },
    limits: { task_minutes: 60, active_tasks: 1, credentials_per_hour: 1 },
  }
  const agents = new Map(
    rules.map((rule, n) => [`agent-${n}.yaml`, { name: `agent-${n}`, ...common, attest: [rule] }]),
  )
  const settings = {
    ...{ listen: { host: '127.0.0.1', port: 1 }, public_url: 'http://127.0.0.1:1', kek_file: 'kek' },
    ...{
      ledger: { type: 'sqlite', path: 'x' },
      agents_dir: 'agents',
      ...{ resource_servers_dir: 'none', issuers: { jwt: ORDERS } },
      attestors,
      outbound,
    },
  }
  const files = {
    readFile: async (path: string) =>
      stringify(path.endsWith('mayfly.yaml') ? settings : agents.get(basename(path))),
    listDir: async (path: string) => (path.endsWith('agents') ? [...agents.keys()] : []),
  }
  return loadConfig('mayfly.yaml', files, {
    attestorTypes,
    issuerTypes,
    openIssuers: () => new Map([['jwt', { ask: z.strictObject({}) }]]),
  })
}

/** An API server is asked by its own tests. */
function forThisTest(declared: object): object {
  return 'token_review' in declared
    ? { token_review: false, api_server: undefined, ca_file: undefined, token_file: undefined }
    : {}
}

function answer(
  url: string,
  { issuer, jwks_uri }: { issuer: string; jwks_uri?: string },
  { jwksUri }: Sample,
): Response {
  const keys = jwks_uri ?? jwksUri ?? `${issuer.replace(/\/$/, '')}/keys`
  if (url === `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    return Response.json({ issuer, jwks_uri: keys })
  expect(url).toBe(keys)
  const { alg: _, ...key } = forger.key.publicJwk
  return Response.json({ keys: [{ ...key, x5t: 'nOo3', x5c: ['MIIC'], issuer }] })
}

function tokenOf(
  { issuer, audience }: { issuer: string; audience: string },
  { claims, lifeS, header = {} }: Sample,
  changes: object,
): string {
  const iat = NOON / 1000
  return forger.token(
    { iss: issuer, aud: audience, iat, nbf: iat, exp: iat + lifeS, ...claims, ...changes },
    header,
  )
}
