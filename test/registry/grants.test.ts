/** What of the operator's issuers a namespace may have: nothing that is not said, and no further than is said. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import {
  asks,
  createInstallation,
  type Installation,
  ORDERS,
  silent,
  startBroker,
} from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { payer, registryOf } from './team.ts'

let installation: Installation
let broker: RunningServer | undefined
/** Of the last start: fields and text. */
let warnings: unknown[][]

beforeEach(async () => {
  installation = await createInstallation()
})
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  await installation.close()
})

async function start(issuers?: unknown) {
  await broker?.stop()
  const payments = { owners: ['payments'], ...(issuers === undefined ? {} : { issuers }) }
  await installation.configure({ settings: { namespaces: { payments } } })
  warnings = []
  broker = await startBroker(installation, { ...silent, warn: (...said) => void warnings.push(said) })
  return registryOf(broker.url, await operatorTokenOf(broker))
}
const jwt = (...scopes: string[]) => [{ audience: ORDERS, scopes }]
const github = (contents: string) => [{ repositories: ['acme/api'], permissions: { contents } }]
const refusal = async (registry: ReturnType<typeof registryOf>, document: object) => {
  const { status, body } = await registry.plan({ documents: [{ ...document }] })
  expect([status, body.code]).toEqual([422, 'registry_invalid'])
  return body.detail as string
}

test('a namespace that says nothing of issuers has none of the operator’s', async () => {
  expect(await refusal(await start(), payer())).toContain(
    'ceiling.jwt: expected one of the issuers, of which there are none',
  )
})

test('and one that names some has those', async () => {
  const registry = await start(['jwt'])
  expect((await registry.plan({ documents: [payer()] })).status).toBe(200)
  expect(await refusal(registry, payer({ ceiling: { github: github('read') } }))).toContain('issuers: jwt')
})

describe('a ceiling of the namespace', () => {
  const grants = { jwt: {}, github: { ceiling: github('read') } }

  test('is what every agent of it stays within', async () => {
    const registry = await start(grants)
    const within = payer({ ceiling: { jwt: jwt('orders.read'), github: github('read') } })
    expect((await registry.plan({ documents: [within] })).status).toBe(200)
    const beyond = payer({
      ceiling: { jwt: jwt('orders.read'), github: [...github('read'), ...github('write')] },
    })
    const said = await refusal(registry, beyond)
    expect(said).toContain('ceiling.github[1]: expected payments.payer to stay within')
    expect(said).toContain(
      'beyond it is {"repositories":[{"name":"acme/api"}],"permissions":{"contents":"write"',
    )
    expect(said).toContain('namespaces.payments.issuers.github in mayfly.yaml')
  })

  test('ends what was registered beyond it, once the operator narrows it', async () => {
    const registry = await start(['jwt', 'github'])
    await registry.register({ documents: [payer({ ceiling: { github: github('write') } })] })
    const evidence = { type: 'jwt', token: installation.svid('/payments/payer') }
    const task = await createApi(broker!, installation).open([asks.api], { evidence })
    expect((await createApi(broker!, installation).credential(task)).status).toBe(201)
    await start(grants)
    expect(broker!.broker.agents().has('payments.payer')).toBe(false)
    await createApi(broker!, installation).until(task, 'ended')
    await expect.poll(() => installation.github.credentials().filter(one => one.alive)).toEqual([])
    await start(['jwt', 'github'])
    expect(broker!.broker.agents().has('payments.payer')).toBe(true)
  })
})

// Where a namespace said nothing it had all; its agents fell silent, and the log did not say what to do.
test('whoever may use an issuer no longer is named at the start, with what to write', async () => {
  const registry = await start(['jwt', 'github'])
  const both = payer({ ceiling: { jwt: jwt('orders.read'), github: github('read') } })
  await registry.register({ documents: [both] })

  const named = (remedy: string) => [
    [{ kind: 'agent', name: 'payments.payer' }, expect.stringContaining(`${remedy} and restart`)],
  ]
  await start()
  expect(warnings).toEqual(named('write `issuers: [github, jwt]` in namespaces.payments'))
  expect(broker!.broker.agents().has('payments.payer')).toBe(false)
  await start({ jwt: { ceiling: jwt('orders.read') } })
  expect(warnings).toEqual(named('add github to namespaces.payments.issuers'))
  await start(['jwt', 'github'])
  expect(warnings).toEqual([])
  expect(broker!.broker.agents().has('payments.payer')).toBe(true)
})

test.each([
  ['an issuer that is not there', ['nobody'], /namespaces\.payments\.issuers: expected one of the issuers: /],
  ['a team’s', ['payments.jwt'], /namespaces\.payments\.issuers/],
  ['a ceiling of nothing', { jwt: { ceiling: [] } }, /namespaces\.payments\.issuers/],
  [
    'a ceiling that its issuer does not know',
    { github: { ceiling: [{ repositories: ['acme/api'], permissions: { content: 'read' } }] } },
    /namespaces\.payments\.issuers\.github\.ceiling\.0\.permissions/,
  ],
  ['another key', { jwt: { ceilings: jwt() } }, /namespaces\.payments\.issuers/],
])('%s is refused at the start, by its key', async (_, issuers, said) => {
  await expect(start(issuers)).rejects.toThrow(said)
})
