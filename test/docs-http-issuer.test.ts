/** The page for teams that run an issuer, its OpenAPI document, and what is really sent: one protocol. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { httpIssuer } from '../issuers/http.ts'
import { HttpWorld, LEASE, READ_ORDERS } from './issuers/http-world.ts'

const docs = join(import.meta.dirname, '..', 'docs')
let page: string
let faults: (schema: string, value: unknown) => string | undefined

beforeAll(async () => {
  page = await readFile(join(docs, 'http-issuer.md'), 'utf8')
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  // Its types speak of a default export that is not there under nodenext.
  ;(addFormats as unknown as (ajv: Ajv2020) => void)(ajv)
  ajv.addSchema(JSON.parse(await readFile(join(docs, 'http-issuer.openapi.json'), 'utf8')), 'protocol')
  faults = (schema, value) => {
    const validate = ajv.getSchema(`protocol#/components/schemas/${schema}`)
    if (validate === undefined) return `there is no ${schema}`
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }
})

test('the examples of the page are what the document describes', () => {
  const blocks = [...page.matchAll(/<!-- (\w+) -->\n```json\n([\s\S]*?)```/g)]
  expect(blocks.length).toBe((page.match(/```json/g) ?? []).length)
  for (const [, schema = '', text = ''] of blocks)
    expect(faults(schema, JSON.parse(text)), schema).toBeUndefined()
})

test('the settings of the page are settings', () => {
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
  const { type, owner, ...settings } = parse(yaml).issuers.databases
  expect([type, typeof owner]).toEqual(['http', 'string'])
  expect(() => httpIssuer.settings.parse(settings)).not.toThrow()
})

test('what is sent and answered is what the document describes', async () => {
  // The options are spread over the defaults: undefined takes one away.
  const world = await HttpWorld.start({ tls: undefined, clients: undefined } as object)
  const seen: [string, unknown, unknown][] = []
  const deps = {
    ...world.host.deps,
    fetch: async (input: Parameters<typeof fetch>[0], init?: RequestInit) => {
      const response = await world.host.deps.fetch(input, init)
      const operation = /\/v1\/(\w+)$/.exec(String(input))?.[1] ?? ''
      seen.push([operation, JSON.parse(String(init?.body)), await response.clone().json()])
      const key = new Headers(init?.headers).get('idempotency-key')
      const changes = operation === 'issue' || operation === 'revoke'
      expect(key).toBe(changes ? `${operation}/${LEASE}` : null)
      return response
    },
  }
  try {
    const issuer = httpIssuer.open(world.settings({ sends_secret_back: true }), deps)
    const ask = issuer.ask.parse(READ_ORDERS)
    await issuer.resolve?.(ask, () => expect.unreachable())
    await issuer.resolve?.(issuer.ask.parse({ ...READ_ORDERS, database: 'none' }), () => expect.unreachable())
    const grant = world.grant(world.open())
    const issued = await issuer.issue(grant)
    if (!issued.ok) expect.unreachable()
    await issuer.issue({ ...grant, ask: issuer.ask.parse({ ...READ_ORDERS, level: 'admin' }) })
    const { secret, providerExpiresAt } = issued
    const handle = { lease: LEASE, ask, secret, providerExpiresAt }
    await issuer.probe(handle)
    await issuer.revoke(handle)
    await issuer.probe({ ...handle, revokedAt: world.clocks.broker() })
  } finally {
    await world.close()
  }
  const names = {
    issue: ['IssueRequest', 'IssueAnswer'],
    resolve: ['ResolveRequest', 'ResolveAnswer'],
    revoke: ['LeaseRequest', 'RevokeAnswer'],
    probe: ['LeaseRequest', 'ProbeAnswer'],
  } as const
  expect(seen.map(([operation]) => operation)).toEqual(
    'resolve resolve issue issue probe revoke probe'.split(' '),
  )
  for (const [operation, request, answer] of seen) {
    const [asked, said] = names[operation as keyof typeof names]
    expect([faults(asked, request), faults(said, answer)]).toEqual([undefined, undefined])
  }
})
