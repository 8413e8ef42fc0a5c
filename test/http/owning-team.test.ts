/** Who is of the team that owns an agent answers for none of its asks, whatever the team's groups are called. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bindingOf } from '../../src/broker/approvals/answer-approval.ts'
import { ownersOf } from '../../src/broker/approvals/approval-votes.ts'
import { preapprovalBinding } from '../../src/broker/approvals/preapprovals.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Api, createApi } from '../support/api.ts'
import { askingPolicy, requirement } from '../support/asking-policy.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let server: RunningServer
let api: Api
let operator: string

beforeAll(async () => {
  installation = await createPeopledInstallation({
    people: [
      { id: 'mate', name: 'Mate', groups: ['mayfly-approver', 'crew'] },
      { id: 'other', name: 'Other', groups: ['mayfly-approver'] },
      { id: 'third', name: 'Third', groups: ['mayfly-approver'] },
      { id: 'olga', name: 'Olga', groups: ['mayfly-owner', 'product@acme.test'] },
      { id: 'paul', name: 'Paul', groups: ['mayfly-owner', 'payers'] },
    ],
    operators: { teams: { 'product@acme.test': ['crew'] } },
    settings: { namespaces: { payments: { owners: ['payers'] } } },
  })
  server = await startBroker(installation)
  server.broker.policy = Object.assign(askingPolicy(), { requires: [requirement({ groups: [] })] })
  api = createApi(server, installation)
  operator = await operatorTokenOf(server)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

test('a group of operators.teams owns what its team owns: it approves nothing of that', async () => {
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  const body = { purpose: 'a release', authorization_details: [asks.api], evidence }
  const opened = await api.call('POST', '/v1/tasks', undefined, body)
  const { body: shown } = await api.call('GET', `/v1/approvals/${opened.body.task.approvals[0].id}`, operator)
  const approveAs = async (id: string) => {
    const id_token = await installation.signInAs(id, { boundTo: bindingOf('approve', shown) })
    return api.call('POST', `/v1/approvals/${shown.id}/approve`, undefined, { id_token })
  }
  expect((await approveAs('mate')).body).toMatchObject({ code: 'forbidden' })
  expect((await approveAs('other')).body).toMatchObject({ state: 'approved' })
})

test('nor beforehand', async () => {
  const order = {
    ...{ agent: 'release', authorization_details: [asks.api], minutes: 30, uses: 1, reason: 'tonight' },
  }
  const { body: preview } = await api.call('POST', '/v1/preapprovals/preview', operator, order)
  const id_token = await installation.signInAs('mate', { boundTo: preapprovalBinding(preview.digest) })
  const opened = await api.call('POST', '/v1/preapprovals', undefined, { ...order, id_token })
  expect(opened.body).toMatchObject({ code: 'forbidden' })
})

test('consent beforehand is taken back by whose it is and by the agent’s owner, and by no other', async () => {
  const order = {
    ...{ agent: 'release', authorization_details: [asks.api], minutes: 30, uses: 1, reason: 'tonight' },
  }
  async function openedByOther(): Promise<string> {
    const { body: preview } = await api.call('POST', '/v1/preapprovals/preview', operator, order)
    const id_token = await installation.signInAs('other', { boundTo: preapprovalBinding(preview.digest) })
    return (await api.call('POST', '/v1/preapprovals', undefined, { ...order, id_token })).body.id
  }
  const takeBack = async (id: string, who: string) =>
    (await api.call('DELETE', `/v1/preapprovals/${id}`, await sessionOf(server, installation, who))).status
  const id = await openedByOther()
  expect([await takeBack(id, 'third'), await takeBack(id, 'paul'), await takeBack(id, 'other')]).toEqual([
    403, 403, 200,
  ])
  expect(await takeBack(await openedByOther(), 'olga')).toBe(200)
  expect(await takeBack('pre_none', 'olga')).toBe(403)
})

test('whoever registers agents in a namespace owns them, whoever they name as owner', () => {
  const [release] = [...server.broker.agents().values()].filter(({ name }) => name === 'release')
  const agents = () => new Map([['payments.payer', { ...release!, name: 'payments.payer' }]])
  const [owner] = ownersOf({ ...server.broker, agents }, [{ agent: 'payments.payer' }])
  expect(owner?.groups).toEqual(['crew', 'payers'])
})
