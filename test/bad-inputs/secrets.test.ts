/** Canaries: secrets are handed out, misplaced and mixed with faults, and then looked for in every sink. */
import { describe, expect, test } from 'vitest'
import { createOperatorToken } from '../../src/broker/people/create-operator-token.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks } from '../fakes/installation.ts'
import { attackedBroker } from './attacked-broker.ts'
import type { Reply } from './request.ts'

const it = attackedBroker()

type Opened = { id: string; token: string; asks: string[] }

const JSON_TYPE = 'application/json'
const post = (path: string, token: string, body: unknown): Promise<Reply> =>
  it.send({ method: 'POST', path, token, type: JSON_TYPE, body: JSON.stringify(body) })

async function openJob(): Promise<Opened> {
  const authorization_details = [asks.api, asks.artifacts(it.installation.roleArn), asks.orders]
  const reply = await it.open(await it.installation.jobToken(), { authorization_details, agent: 'release' })
  expect(reply.status, reply.text).toBe(201)
  const body = JSON.parse(reply.text) as { task: { id: string; asks: { id: string }[] }; task_token: string }
  return { id: body.task.id, token: body.task_token, asks: body.task.asks.map(ask => ask.id) }
}

const mint = (job: Opened, at: number) =>
  post(`/v1/tasks/${job.id}/credentials`, job.token, { ask: job.asks[at] })

async function settled(job: Opened, states: readonly string[]): Promise<void> {
  for (;;) {
    const reply = await it.send({ method: 'GET', path: `/v1/tasks/${job.id}`, token: job.token })
    const { credentials } = JSON.parse(reply.text) as { credentials: { issuer: string; state: string }[] }
    if (credentials.every(one => one.issuer === 'aws' || states.includes(one.state))) return
    await new Promise(resolve => setImmediate(resolve))
  }
}

describe('canaries', () => {
  test('three kinds of credentials, while they live and when they are dead', async () => {
    const job = await openJob()
    const minted = [await mint(job, 0), await mint(job, 1), await mint(job, 2)]
    expect(minted.map(reply => reply.status)).toEqual([201, 201, 201])
    await it.expectUnharmed(await it.state())
    await post(`/v1/tasks/${job.id}/complete`, job.token, { outcome: 'completed' })
    await settled(job, ['closed'])
    await it.expectUnharmed(await it.state())
  })

  const faults: readonly (readonly [string, 'before' | 'after', FaultDecision])[] = [
    ['drops the call', 'before', 'drop'],
    ['drops the answer', 'after', 'drop'],
    ['is out of order', 'before', { status: 500, body: '{"message":"Server Error"}' }],
    ['says no', 'before', { status: 422, body: '{"message":"Validation Failed"}' }],
    ['refuses the broker', 'before', { status: 401, body: '{"message":"Bad credentials"}' }],
    ['answers no JSON', 'before', { status: 200, body: '<html>' }],
  ]
  test.each(faults)('a provider that %s', async (_what, when, decision) => {
    const { github, aws } = it.installation
    const job = await openJob()
    const fault = (call: { operation: string; when: string }): FaultDecision =>
      call.when === when && /access-token|AssumeRole/.test(call.operation) ? decision : 'ok'
    github.faults = fault
    aws.faults = fault
    try {
      for (const reply of [await mint(job, 0), await mint(job, 1)])
        expect([422, 502, 503], reply.text).toContain(reply.status)
    } finally {
      github.faults = () => 'ok'
      aws.faults = undefined
    }
    await post(`/v1/tasks/${job.id}/complete`, job.token, { outcome: 'failed' })
    await it.expectUnharmed(await it.state())
  })

  test('an identity provider that is out is told as an outage, without the evidence', async () => {
    it.installation.identityProvider.setDown(true)
    it.installation.identityProvider.rotate()
    try {
      const fresh = await it.installation.jobToken()
      it.installation.clock.advance(60_000)
      const reply = await it.exchange(fresh, { agent: 'release' })
      expect([reply.status, (JSON.parse(reply.text) as { error: string }).error]).toEqual([
        503,
        'temporarily_unavailable',
      ])
    } finally {
      it.installation.identityProvider.setDown(false)
      it.installation.clock.advance(60_000)
    }
    await it.expectUnharmed(await it.state())
  })

  test('secrets in places where none belongs', async () => {
    const job = await openJob()
    const operator = (await createOperatorToken(it.running.broker, 'ada')).token.reveal()
    it.keepSecret(operator)
    const secrets = [job.token, operator, it.ownTokens.access, it.goodToken({ aud: 'other' })]
    for (const secret of secrets) {
      it.keepSecret(secret)
      const inPath = encodeURIComponent(secret)
      const replies = [
        await it.send({ method: 'GET', path: `/v1/tasks/${inPath}`, token: job.token }),
        await it.send({ method: 'GET', path: `/v1/leases/${inPath}`, token: operator }),
        await it.send({ method: 'GET', path: `/v1/tasks?after=${inPath}`, token: operator }),
        await it.send({ method: 'GET', path: `/livez/${inPath}?access_token=${inPath}` }),
        await it.send({
          method: secret.slice(0, 3) === 'eyJ' ? 'GET' : 'POST',
          path: '/oauth/nothing',
          token: secret,
        }),
        await post(`/v1/tasks/${job.id}/credentials`, job.token, { ask: secret }),
        await it.open(it.goodToken(), { ticket: secret }),
        await it.exchange(secret),
        await it.exchange(it.goodToken(), { grant_type: secret }),
        await it.exchange(it.goodToken(), { subject_token_type: secret }),
        await it.exchange(it.goodToken(), { requested_token_type: secret }),
        await it.exchange(it.goodToken(), { scope: secret }),
        await it.exchange(it.goodToken(), { audience: secret }),
        await it.exchange(it.goodToken(), { authorization_details: secret }),
        await it.exchange(it.goodToken(), { minutes: secret }),
      ]
      for (const reply of replies) expect(reply.status).toBeGreaterThanOrEqual(400)
    }
    await it.expectUnharmed(await it.state())
  })
})
