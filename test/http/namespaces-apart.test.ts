/** What agents of a namespace ask for, hold and were denied is read by whoever may read that namespace. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { canonicalDigest } from '../../src/canonical.ts'
import type { PolicyEngine } from '../../src/policy/facts.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { payer, registryOf, withTeams } from '../registry/team.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { askingPolicy, requirement } from '../support/asking-policy.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let server: RunningServer
let api: Api
let operators: Api
let tokens: Record<string, string>
let task: OpenedTask
let lease: string
let approval: string
const evidence = () => ({ type: 'jwt', token: installation.svid('spiffe://acme.test/payments/payer') })

beforeAll(async () => {
  installation = await createPeopledInstallation({
    ...withTeams({ operator_listen: { host: '127.0.0.1', port: 0 } }),
    people: [
      { id: 'paul', name: 'Paul', groups: ['mayfly-platform', 'payments'] },
      { id: 'bill', name: 'Bill', groups: ['mayfly-platform', 'billing'] },
      { id: 'cleo', name: 'Cleo', groups: ['mayfly-approver'] },
      { id: 'ada', name: 'Ada', groups: ['mayfly-admin'] },
      { id: 'vera', name: 'Vera', groups: ['mayfly-viewer'] },
    ],
  })
  server = await startBroker(installation)
  api = createApi(server, installation)
  operators = createApi({ url: server.operatorUrl }, installation)
  tokens = { token: await operatorTokenOf(server) }
  for (const id of ['paul', 'bill', 'cleo', 'ada', 'vera'])
    tokens[id] = await sessionOf(server, installation, id)
  const ada = registryOf(server.operatorUrl, tokens.ada!)
  const set = { documents: [payer()] }
  const { body: plan } = await ada.plan(set)
  const id_token = await installation.signInAs('ada', { boundTo: plan.digest })
  expect((await ada.apply(set, plan, { id_token })).status).toBe(200)

  task = await api.open([asks.orders], { evidence: evidence() })
  lease = (await api.credential(task)).body.lease
  const waits: PolicyEngine['judge'] = async () => ({
    ...{ outcome: 'needs_approval', requires: [requirement({ groups: [] })] },
    ...{ determining: [], reasons: [], nearest: [] },
  })
  server.broker.policy = Object.assign(askingPolicy(), { judge: waits })
  const body = { purpose: 'pays', authorization_details: [asks.orders], evidence: evidence() }
  const waiting = await api.call('POST', '/v1/tasks', undefined, body)
  expect(waiting.status, JSON.stringify(waiting.body)).toBe(202)
  approval = waiting.body.task.approvals[0].id
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

const get = (who: string, path: string) => operators.call('GET', `/v1${path}`, tokens[who]!)
const tells = ({ body }: Answer) => JSON.stringify(body).includes('payments.payer')
const now = () => installation.clock.now()
const period = () =>
  new URLSearchParams({
    from: new Date(now() - 3_600_000).toISOString(),
    to: new Date(now() + 60_000).toISOString(),
  })

const LISTS = ['/tasks', '/leases', '/audit', '/approvals', '/budgets', '/agents'] as const

test.each(LISTS)('a list leaves out what another namespace has: %s', async path => {
  const told: Record<string, boolean> = {}
  for (const who of ['bill', 'paul', 'vera', 'ada', 'token']) {
    const answer = await get(who, path)
    expect([who, answer.status]).toEqual([who, 200])
    told[who] = tells(answer)
  }
  expect(told).toEqual({ bill: false, paul: true, vera: true, ada: true, token: true })
})

test('so does a review, and what a revocation would end', async () => {
  for (const [who, seen] of Object.entries({ bill: false, paul: true, token: true })) {
    expect([who, tells(await get(who, `/review?${period()}`))]).toEqual([who, seen])
    const order = { reason: 'to see', issuer: 'jwt', dry_run: true }
    const preview = await operators.call('POST', '/v1/revocations', tokens[who]!, order)
    expect([who, preview.status, JSON.stringify(preview.body).includes(lease)]).toEqual([who, 200, seen])
  }
})

test('a single one of another namespace is not there', async () => {
  const row = await server.broker.ledger.read.asks(task.id)
  const single = [
    ...[`/leases/${lease}`, `/tasks/${task.id}/trail`, `/decisions/${row[0]!.decision}`],
    ...[`/approvals/${approval}`, `/budgets?task=${task.id}`, `/review?${period()}&agent=payments.payer`],
  ]
  for (const path of single) {
    const statuses = [(await get('bill', path)).status, (await get('paul', path)).status]
    expect([path, ...statuses]).toEqual([path, 404, 200])
  }
  // Theirs is not ready yet; to the others there is none.
  const receipts = [
    await get('bill', `/tasks/${task.id}/receipt`),
    await get('paul', `/tasks/${task.id}/receipt`),
  ]
  expect(receipts.map(({ body }) => body.code)).toEqual(['not_found', 'receipt_not_ready'])
})

test('nor is a simulation a way to it', async () => {
  const simulate = async (who: string, of: object) => {
    const body = { ...of, authorization_details: [asks.orders] }
    return (await operators.call('POST', '/v1/policies/simulate', tokens[who]!, body)).status
  }
  const supposed = { evidence: evidence(), purpose: 'what if' }
  for (const of of [{ task: task.id }, supposed, { ...supposed, agent: 'payments.payer' }])
    expect([await simulate('bill', of), await simulate('paul', of)]).toEqual([404, 200])
})

test('nor is a check of evidence', async () => {
  const check = async (who: string, body: object) =>
    (await operators.call('POST', '/v1/attestors/check', tokens[who]!, body)).status
  for (const body of [{ evidence: evidence() }, { evidence: evidence(), agent: 'payments.payer' }])
    expect([await check('bill', body), await check('paul', body)]).toEqual([404, 200])
})

test('whoever may answer sees what they are asked, and no more of it', async () => {
  expect((await get('cleo', `/approvals/${approval}`)).status).toBe(200)
  expect(tells(await get('cleo', '/approvals'))).toBe(true)
  expect(tells(await get('cleo', '/leases'))).toBe(false)
})

test('what was revoked of another namespace is not told, in a list or by its id', async () => {
  const order = { agent: 'payments.payer', reason: 'a drill of the switch', hold: false }
  const begun = await operators.call('POST', '/v1/revocations', tokens.token!, order)
  expect(begun.status).toBe(202)
  for (const [who, sees] of [
    ...[['bill', false] as const, ['paul', true] as const],
    ...[['vera', true] as const, ['token', true] as const],
  ]) {
    expect([who, tells(await get(who, '/revocations'))]).toEqual([who, sees])
    expect([who, (await get(who, `/revocations/${begun.body.id}`)).status]).toEqual([who, sees ? 200 : 404])
  }
})

test('the platform team of a namespace takes back what it held of its own agents; no other team does', async () => {
  const order = { agent: 'payments.payer', reason: 'a drill of the switch', hold: true }
  const held = await operators.call('POST', '/v1/revocations', tokens.paul!, order)
  expect(held.status).toBe(202)
  const boundTo = canonicalDigest({ unblock: held.body.id })
  for (const [who, status] of [['bill', 403] as const, ['paul', 200] as const]) {
    const id_token = await installation.signInAs(who, { boundTo })
    const path = `/v1/revocations/${held.body.id}/unblock`
    expect([who, (await operators.call('POST', path, tokens[who]!, { id_token })).status]).toEqual([
      who,
      status,
    ])
  }
})
