/** Answers and windows come with an ID token alone: whoever has none of a human's learns nothing and causes nothing. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Api, createApi } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'

let installation: PeopledInstallation
let server: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createPeopledInstallation({
    settings: { limits: { failed_attestations_per_minute_per_source: 12 } },
  })
  server = await startBroker(installation)
  server.broker.policy = askingPolicy()
  api = createApi(server, installation)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

async function told(path: string, body: object): Promise<unknown[]> {
  const answer = await api.call('POST', path, undefined, body)
  const { code, detail } = answer.body
  return [answer.status, code, detail]
}

test('a stranger does not learn which agents there are or what they may have, and no provider is asked', async () => {
  const order = { minutes: 5, uses: 1, reason: 'tonight', id_token: 'no.id.token' }
  const open = (agent: string, ask: object) =>
    told('/v1/preapprovals', { ...order, agent, authorization_details: [ask] })
  const beyond = { ...asks.api, permissions: { administration: 'write' } }
  const nobody = await open('nobody', asks.api)
  expect(nobody.slice(0, 2)).toEqual([401, 'evidence_rejected'])
  expect(await open('release', asks.api)).toEqual(nobody)
  expect(await open('release', beyond)).toEqual(nobody)
  expect((await server.broker.ledger.read.leases({}, { limit: 1 })).items).toEqual([])
})

test('nor who is not let to approve', async () => {
  const order = { minutes: 5, uses: 1, reason: 'tonight', authorization_details: [asks.api] }
  for (const agent of ['release', 'nobody']) {
    const id_token = await installation.signInAs('vera', { boundTo: 'f'.repeat(64) })
    expect((await told('/v1/preapprovals', { ...order, agent, id_token }))[1]).toBe('forbidden')
  }
  expect((await server.broker.ledger.read.leases({}, { limit: 1 })).items).toEqual([])
})

test('nor which approvals there are, or how they stand', async () => {
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  const body = { purpose: 'a release', authorization_details: [asks.api], evidence }
  const opened = await api.call('POST', '/v1/tasks', undefined, body)
  const id = opened.body.task.approvals[0].id
  const answer = { id_token: 'no.id.token', reason: 'no' }
  for (const verb of ['approve', 'deny']) {
    const unknown = await told(`/v1/approvals/apr_nobodys/${verb}`, answer)
    expect(unknown.slice(0, 2)).toEqual([401, 'evidence_rejected'])
    expect(await told(`/v1/approvals/${id}/${verb}`, answer)).toEqual(unknown)
  }
})

test('ID tokens that are none can be tried so often and no more', async () => {
  const { failedAttestationsPerMinutePerSource: most } = server.broker.limits
  const codes = new Set<unknown>()
  for (let tried = 0; tried <= most; tried++)
    codes.add((await told('/v1/approvals/apr_nobodys/approve', { id_token: 'no.id.token' }))[1])
  expect(codes).toEqual(new Set(['evidence_rejected', 'rate_limited']))
})
