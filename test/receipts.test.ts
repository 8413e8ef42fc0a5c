/** Receipts of the main job, held against what the stand-ins know, through HTTP. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Receipt, ReceiptCredential } from '../src/receipts/receipt.ts'
import { receiptHash, receiptKeySet, verifyReceipt } from '../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'

let installation: Installation
let broker: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const receiptOf = (task: { id: string; token: string }) =>
  api.call('GET', `/v1/tasks/${task.id}/receipt`, task.token)

async function settledReceipt(task: OpenedTask): Promise<{ jws: string; receipt: Receipt }> {
  await api.until(task, 'settled')
  await broker.look()
  const answer = await receiptOf(task)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return { jws: answer.body.receipt, receipt: await verified(answer.body.receipt) }
}

async function keySet() {
  return receiptKeySet.parse((await api.call('GET', '/.well-known/receipt-jwks.json')).body)
}

async function verified(jws: string): Promise<Receipt> {
  const verdict = await verifyReceipt(jws, await keySet(), { issuer: 'http://127.0.0.1:8480' })
  if (!verdict.ok) throw new Error(`${verdict.fault}: ${verdict.detail}`)
  return verdict.receipt
}

const sha256 = (text: string, encoding: 'hex' | 'base64') =>
  createHash('sha256').update(text).digest(encoding)
const only = (receipt: Receipt): ReceiptCredential => {
  expect(receipt.credentials).toHaveLength(1)
  return receipt.credentials[0]!
}

describe('a receipt is true', () => {
  test('of a GitHub token: the very token, its scope, and a death that GitHub confirms', async () => {
    const task = await api.open([asks.api])
    const minted = await api.credential(task)
    const ended = await api.complete(task)
    const { receipt } = await settledReceipt(task)
    const credential = only(receipt)
    const secret: string = minted.body.credential
    expect(credential.sha256).toEqual({ hex: sha256(secret, 'hex'), base64: sha256(secret, 'base64') })
    expect(credential).toMatchObject({
      ...{ lease: minted.body.lease, issuer: 'github', revocability: 'immediate', closed_as: 'revoked' },
      ...{ issued: 'yes', answered: 'presumed' },
      authorization_details: minted.body.authorization_details,
      death: { basis: 'confirmed', for: 'everyone', offline_verifiers_until: null },
    })
    expect(credential.flags).toEqual([])
    expect(receipt.task).toMatchObject({
      ...{ id: task.id, parent: null, root: task.id, end: 'completed', ended_at: ended.body.ended_at },
      agent: { name: 'release', owner: { business: 'product@acme.test', technical: 'platform@acme.test' } },
      identity: { attestor: 'actions', issuer: installation.identityProvider.issuer },
    })
    expect(receipt.task.agent.owner_digest).toBe(receipt.task.agent.digest)
    expect(receipt.summary).toMatchObject({ credentials: 1, confirmed_dead: 1, may_have_left_access: 0 })

    // What GitHub knows.
    const truth = installation.github.credentials().find(one => one.sha256 === sha256(secret, 'hex'))!
    expect(truth.alive).toBe(false)
    const deadAt = Date.parse(credential.death.at!)
    expect(deadAt - Date.parse(receipt.task.ended_at)).toBe(credential.past_end_ms)
    expect(truth.revokedAt).toBeLessThanOrEqual(deadAt)
    expect(truth.mintedAt).toBeLessThanOrEqual(Date.parse(credential.issued_at!))
  })

  test('of a JWT: dead for whoever introspects, and told to live on for whoever does not', async () => {
    const task = await api.open([asks.orders])
    const minted = await api.credential(task)
    await api.complete(task)
    const { receipt } = await settledReceipt(task)
    const credential = only(receipt)
    const { exp } = JSON.parse(
      Buffer.from(minted.body.credential.split('.')[1], 'base64url').toString('utf8'),
    ) as { exp: number }
    expect(credential.death).toEqual({
      ...{ basis: 'confirmed', for: 'introspecting_verifiers', at: receipt.task.ended_at },
      offline_verifiers_until: new Date(exp * 1_000).toISOString(),
    })
    expect(credential.past_end_ms).toBe(0)
    expect(credential.past_end_offline_ms).toBe(exp * 1_000 - Date.parse(receipt.task.ended_at))
    expect(receipt.summary.longest_past_end_offline_ms).toBe(credential.past_end_offline_ms)
  })

  test('of an AWS session: expired, never called confirmed', async () => {
    const task = await api.open([asks.artifacts(installation.roleArn)])
    const minted = await api.credential(task)
    await api.complete(task)
    const early = await receiptOf(task)
    expect(early.status).toBe(409)
    expect(early.body).toMatchObject({ code: 'receipt_not_ready' })
    expect(early.body.detail).toContain(minted.body.provider_expires_at)
    expect(Number(early.headers.get('retry-after'))).toBeGreaterThan(0)
    installation.clock.advance(62 * 60_000)
    await broker.look()
    const credential = only((await settledReceipt(task)).receipt)
    expect(credential).toMatchObject({
      ...{ closed_as: 'expired', confirmed_dead_at: null, revoked_at: null },
      death: { basis: 'expired', at: minted.body.provider_expires_at, for: 'everyone' },
    })
    expect(credential.past_end_ms).toBeGreaterThan(0)
    expect(installation.aws.credentials().filter(one => one.alive)).toEqual([])
  })

  test('of a task that held nothing, and of one that was refused everything', async () => {
    const task = await api.open([])
    await api.complete(task, 'failed')
    const { receipt } = await settledReceipt(task)
    expect(receipt.credentials).toEqual([])
    expect(receipt.task.end).toBe('failed')
    expect(receipt.summary.credentials).toBe(0)
  })

  test('prints no secret', async () => {
    const task = await api.open([asks.api])
    const minted = await api.credential(task)
    await api.complete(task)
    const { jws, receipt } = await settledReceipt(task)
    expect(JSON.stringify(receipt)).not.toContain(minted.body.credential)
    expect(jws).not.toContain(minted.body.credential)
    expect(JSON.stringify(receipt)).not.toContain(task.token)
  })
})

describe('a tree', () => {
  test('is proven by hashes: the parent waits for its child, and names its receipt', async () => {
    const parent = await api.open([asks.api], svid('/agent/coder'))
    const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
      ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.apiRead] },
    })
    expect(ticket.status, JSON.stringify(ticket.body)).toBe(201)
    const child = await api.open([asks.apiRead], { ...svid('/agent/reviewer'), ticket: ticket.body.ticket })
    await api.credential(child)
    await api.complete(parent)
    const parents = await settledReceipt(parent)
    const childs = await settledReceipt(child)
    expect(parents.receipt.children).toEqual([{ task: child.id, receipt_sha256: receiptHash(childs.jws) }])
    expect(childs.receipt.task).toMatchObject({ parent: parent.id, root: parent.id, end: 'cancelled' })
  })
})

describe('who may read it', () => {
  test('the task itself and operators; nobody else, and nothing before the end', async () => {
    const task = await api.open([])
    expect((await receiptOf(task)).body).toMatchObject({ status: 409, detail: 'the task has not ended' })
    await api.complete(task)
    await settledReceipt(task)
    const other = await api.open([])
    const cases: [string | undefined, number][] = [
      [other.token, 404],
      [undefined, 401],
      [await operatorTokenOf(broker), 200],
    ]
    for (const [token, status] of cases)
      expect((await api.call('GET', `/v1/tasks/${task.id}/receipt`, token)).status).toBe(status)
    await api.complete(other)
  })

  test("the broker's own tasks have none, and their leases are listed", async () => {
    const operator = await operatorTokenOf(broker)
    const own = await api.call('GET', '/v1/leases?agent=mayfly', operator)
    expect(own.body.items.length).toBeGreaterThan(0)
    const answer: Answer = await api.call('GET', `/v1/tasks/${own.body.items[0].task}/receipt`, operator)
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found'])
  })

  test('its keys are published on their own, and listed', async () => {
    const { body } = await api.call('GET', '/.well-known/openid-configuration')
    expect(body.mayfly_receipt_jwks_uri).toBe('http://127.0.0.1:8480/.well-known/receipt-jwks.json')
    const kids = (set: { keys: { kid: string }[] }) => set.keys.map(({ kid }) => kid)
    const tasks = (await api.call('GET', '/.well-known/jwks.json')).body
    expect(kids(await keySet()).filter(kid => kids(tasks).includes(kid))).toEqual([])
  })
})

const svid = (path: string) => ({ evidence: { type: 'jwt', token: installation.svid(path) } })
