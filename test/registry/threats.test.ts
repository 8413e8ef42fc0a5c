/** A team that wants more than its own, and plans that are not what they were. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import {
  AUDIENCE,
  asks,
  createInstallation,
  type Installation,
  ORDERS,
  startBroker,
} from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { appOf, type Documented, PAYMENTS, payer, registryOf, type Wanted, withTeams } from './team.ts'

let installation: Installation
let broker: RunningServer
let registry: ReturnType<typeof registryOf>
let app: ReturnType<typeof appOf>

beforeAll(async () => {
  installation = await createInstallation(withTeams())
  broker = await startBroker(installation)
  registry = registryOf(broker.url, await operatorTokenOf(broker))
  app = appOf(installation)
  await registry.register({ documents: [payer()] })
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const bill = (over: Documented = {}) =>
  payer({
    name: 'billing.biller',
    attest: [{ attestor: 'spire', subject: 'spiffe://acme.test/billing/biller' }],
    ...over,
  })

async function expectRefused(set: Wanted, code: string, detail: string | RegExp): Promise<void> {
  const before = await broker.broker.ledger.read.registry()
  const { status, body } = await registry.plan(set)
  expect(body.code, JSON.stringify(body)).toBe(code)
  expect(body.detail).toMatch(detail)
  expect(status).toBeGreaterThanOrEqual(400)
  // Nor is it applied by whoever leaves the plan out.
  const applied = await registry.apply(set, { generation: before!.generation, digest: 'f'.repeat(64) })
  expect(applied.body.code).toBe(code)
  expect(await broker.broker.ledger.read.registry()).toEqual(before)
}

describe('a team does not leave its namespace', () => {
  test.each([
    ['a name of the operator’s', payer({ name: 'release' }), 'managed_by_file', /agents/],
    ['a name without a namespace', payer({ name: 'payer' }), 'registry_invalid', /NAMESPACE\.NAME/],
    ['a namespace that is not there', payer({ name: 'pay.payer' }), 'registry_invalid', /there is no pay/],
    ['two dots', payer({ name: 'payments.billing.x' }), 'registry_invalid', /NAMESPACE\.NAME/],
    ['a prototype', payer({ name: '__proto__.x' }), 'registry_invalid', /NAMESPACE\.NAME/],
    ['a namespace called like a member', payer({ name: 'constructor.x' }), 'registry_invalid', /there is no/],
    ['upper case', payer({ name: 'Payments.payer' }), 'registry_invalid', /NAMESPACE\.NAME/],
  ])('%s is no name for its agent', (_, document, code, detail) =>
    expectRefused({ documents: [document] }, code, detail),
  )

  test('an agent of one team is not delegated to by another, nor by name of the operator', async () => {
    for (const other of ['payments.payer', 'reviewer'])
      await expectRefused(
        { documents: [bill({ may_delegate_to: [other] })] },
        'registry_invalid',
        /may_delegate_to/,
      )
  })

  test('issuers and attestors that the operator does not share are not there', async () => {
    const github = { github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }] }
    await expectRefused(
      { documents: [bill({ ceiling: github })] },
      'registry_invalid',
      /one of the issuers: jwt/,
    )
    const rule = { attestor: 'actions', claims: { repository_id: '7' } }
    await expectRefused({ documents: [bill({ attest: [rule] })] }, 'registry_invalid', /attestors: spire/)
  })

  test('another team’s issuer is not there, and is not named in what is told', async () => {
    await registry.register({ documents: [app.issuer()], secrets: [{ ...app.secret }] })
    const ceiling = {
      'payments.github': [{ repositories: ['payco/ledger'], permissions: { contents: 'read' } }],
    }
    const { body } = await registry.plan({ documents: [bill({ ceiling })] })
    expect(body.detail).toMatch(/one of the issuers: jwt$/)
    const { body: metadata } = await createApi(broker, installation).call(
      'GET',
      '/.well-known/oauth-authorization-server',
    )
    expect(JSON.stringify(metadata)).not.toContain('payments')
  })

  test('types that the operator does not grant are not there', async () => {
    const issuer = { kind: 'issuer', name: 'billing.aws', type: 'aws-sts', region: 'eu-central-1' }
    await expectRefused({ documents: [issuer] }, 'registry_invalid', /signed-jwt, github-app/)
  })

  test('a rule that may match the workloads of another team is refused', async () => {
    const attest = [{ attestor: 'spire', claims: { trust_domain: 'acme.test' } }]
    await expectRefused({ documents: [bill({ attest })] }, 'registry_invalid', /no workload of another team/)
  })

  test('an agent of the operator’s stays the one that is matched where none is named', async () => {
    const attest = [{ attestor: 'actions', claims: { repository_id: '1' } }]
    await registry.register({ documents: [payer({ name: 'payments.shadow', attest })] })
    const api = createApi(broker, installation)
    const task = await api.open([asks.orders])
    expect(task.answer.body.task.agent).toBe('release')
  })

  test('an audience is signed for, and introspected, only where it is granted', async () => {
    const issuer = (audience: string) => ({
      ...{ kind: 'issuer', name: 'payments.jwt', type: 'signed-jwt', audiences: [{ audience }] },
    })
    await expectRefused({ documents: [issuer(ORDERS)] }, 'registry_invalid', /an audience of payments/)
    const server = { kind: 'resource_server', name: 'payments.api', secret_sha256: 'a'.repeat(64) }
    const wanted = (audience: string) => ({ documents: [{ ...server, audience }] })
    await expectRefused(wanted(ORDERS), 'registry_invalid', /an audience of payments/)
    expect((await registry.plan(wanted(PAYMENTS))).status).toBe(200)
    expect((await registry.plan({ documents: [issuer(PAYMENTS)] })).status).toBe(200)
  })

  test('evidence that another attestor takes is not taken, nor the broker’s own tokens', async () => {
    const attestor = (settings: Documented) => ({
      documents: [{ kind: 'attestor', name: 'payments.idp', type: 'oidc', claims: {}, ...settings }],
    })
    const same = { issuer: installation.identityProvider.issuer, audience: AUDIENCE }
    await expectRefused(attestor(same), 'registry_invalid', /takes the same tokens/)
    const own = { issuer: 'http://127.0.0.1:8480', audience: 'x' }
    await expectRefused(attestor(own), 'registry_invalid', /public_url/)
  })

  test('more than the operator lets a namespace have is refused', async () => {
    const documents = ['a', 'b', 'c', 'd'].map(name =>
      payer({
        name: `payments.${name}`,
        attest: [{ attestor: 'spire', subject: `spiffe://acme.test/payments/${name}` }],
      }),
    )
    await expectRefused({ documents }, 'registry_invalid', /may have 3 agents/)
  })
})

describe('a team’s instance reads nothing of the broker’s host', () => {
  const files = () => [
    '/etc/passwd',
    join(installation.directory, 'data', 'kek'),
    'data/kek',
    'app.pem',
    '../app.pem',
    'file:///etc/passwd',
    './secret:app-key',
  ]

  test('no path is taken for a secret', async () => {
    for (const private_key_file of files())
      await expectRefused(
        { documents: [app.issuer({ private_key_file })] },
        'registry_invalid',
        /private_key_file: expected secret:NAME/,
      )
    const bundle = { kind: 'attestor', name: 'payments.spire', type: 'spiffe-jwt', trust_domain: 'pay.test' }
    await expectRefused(
      { documents: [{ ...bundle, audience: AUDIENCE, bundle_file: 'bundle.json' }] },
      'registry_invalid',
      /bundle_file: expected secret:NAME/,
    )
  })

  test('nor is the secret of another, or one that nobody uploaded', async () => {
    const names = ['nothing', '../app-key', 'payments.github/app-key', 'app-key/../app-key']
    for (const name of names)
      await expectRefused(
        { documents: [app.issuer({ name: 'billing.github', private_key_file: `secret:${name}` })] },
        'registry_invalid',
        /a secret that is uploaded/,
      )
    // That of the payments team is there, and is not this one's.
    await expectRefused(
      { documents: [app.issuer({ name: 'billing.github' })] },
      'registry_invalid',
      /a secret that is uploaded/,
    )
  })

  test('the host’s own credentials are not a team’s', async () => {
    const aws = { kind: 'issuer', name: 'payments.aws', type: 'aws-sts', region: 'eu-central-1' }
    for (const settings of [{}, { credentials: 'ambient' }])
      await expectRefused({ documents: [{ ...aws, ...settings }] }, 'registry_invalid', /AWS credentials/)
    await expectRefused(
      { documents: [{ ...aws, credentials: { access_key_file: 'aws-key.json' } }] },
      'registry_invalid',
      /access_key_file: expected secret:NAME/,
    )
  })

  test('a secret that no setting names is refused, and so is one for nobody', async () => {
    const stray = { ...app.secret, name: 'other' }
    await expectRefused(
      { documents: [app.issuer()], secrets: [app.secret, stray] },
      'registry_invalid',
      /secret issuer\/payments\.github\/other/,
    )
    await expectRefused({ secrets: [app.secret] }, 'registry_invalid', /in the same set/)
  })
})

describe('a plan', () => {
  test('of which one document is wrong changes nothing', async () => {
    const wrong = bill({ limits: { task_minutes: 0, active_tasks: 1, credentials_per_hour: 1 } })
    await expectRefused(
      { documents: [bill({ name: 'billing.good' }), wrong] },
      'registry_invalid',
      /task_minutes/,
    )
    expect((await registry.get('/agent/billing.good')).status).toBe(404)
  })

  test('is applied once: of two at the same time one wins, and the other is told to look again', async () => {
    const sets = ['one', 'two'].map(name => ({ documents: [bill({ purpose: `Bills, ${name}` })] }))
    const plans = await Promise.all(sets.map(set => registry.plan(set)))
    const answers = await Promise.all(sets.map((set, index) => registry.apply(set, plans[index]!.body)))
    expect(answers.map(answer => answer.status).sort()).toEqual([200, 409])
    expect(answers.find(answer => answer.status === 409)?.body.code).toBe('registry_moved')
  })

  test('is not applied to another set, nor to a later generation', async () => {
    const planned = { documents: [bill({ purpose: 'Bills, and no more' })] }
    const { body } = await registry.plan(planned)
    const swapped = { documents: [bill({ purpose: 'Bills, and more' })] }
    expect((await registry.apply(swapped, body)).body.code).toBe('registry_moved')
    await registry.register(planned)
    expect((await registry.apply(planned, body)).body.code).toBe('registry_moved')
  })

  test('needs a reason, and an operator', async () => {
    const set = { documents: [bill()] }
    const { body } = await registry.plan(set)
    expect((await registry.apply(set, body, { reason: '' })).body.code).toBe('request_invalid')
    const nobody = registryOf(broker.url, 'mfo_nobody')
    for (const answer of [await nobody.plan(set), await nobody.apply(set, body), await nobody.get('/agent')])
      expect(answer.status).toBe(401)
  })
})

describe('who writes to the database', () => {
  test('registers nothing: an altered, a removed and an older row stop the broker from following', async () => {
    const { ledger } = broker.broker
    const row = (await ledger.read.resource('agent', 'payments.payer'))!
    const wider = row.document.replace('"active_tasks":100', '"active_tasks":9999')
    await ledger.write(tx => tx.putResource({ ...row, version: row.version + 1, document: wider }))
    expect((await registry.plan({ documents: [payer()] })).status).toBe(500)
    expect(broker.broker.agents().get('payments.payer')?.limits.active_tasks).toBe(100)
  })
})
