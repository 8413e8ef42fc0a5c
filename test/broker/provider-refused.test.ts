import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'

let installation: Installation
let broker: RunningServer
let api: Api
const lines: string[] = []

beforeEach(async () => {
  lines.length = 0
  const take = (fields: object, message: string) => void lines.push(JSON.stringify({ ...fields, message }))
  installation = await createInstallation()
  broker = await startBroker(installation, { debug() {}, info: take, warn: take, error: take })
  api = createApi(broker, installation)
})
afterEach(async () => {
  await broker.stop()
  await installation.close()
})

// AWS's own sentence names the broker's user, and it was passed on.
test("the caller learns the reason; the provider's sentence is for the ledger and the log", async () => {
  const task = await api.open([asks.artifacts(installation.roleArn)])
  const body =
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
    '<Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/mayfly may not</Message></Error></ErrorResponse>'
  installation.aws.faults = ({ operation }) => (operation === 'AssumeRole' ? { status: 403, body } : 'ok')
  const answer = await api.credential(task)
  expect(answer.body).toMatchObject({ code: 'provider_refused', detail: 'the provider does not permit this' })
  const { items } = await broker.broker.ledger.read.audit({ task: task.id }, { limit: 50 })
  const refused = items.find(row => row.event === 'lease.refused')
  expect(JSON.parse(refused!.data).detail).toContain('user/mayfly')
  expect(lines.join('\n')).toContain('user/mayfly')
})

// It was told as 422 like a judgement, and clients gave up.
test('a provider that is asked too often is an outage that passes, and nothing was minted', async () => {
  const task = await api.open([asks.artifacts(installation.roleArn)])
  const body =
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
    '<Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>'
  installation.aws.faults = ({ operation }) => (operation === 'AssumeRole' ? { status: 400, body } : 'ok')
  const limited = await api.credential(task)
  expect([limited.status, limited.body.code]).toEqual([503, 'provider_unavailable'])
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
  const { items } = await broker.broker.ledger.read.leases({ task: task.id }, { limit: 9 })
  expect(items.map(lease => lease.closed_as)).toEqual(['never_minted'])
  installation.aws.faults = () => 'ok'
  expect((await api.credential(task)).status).toBe(201)
})
