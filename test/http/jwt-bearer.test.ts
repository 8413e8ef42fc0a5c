/** The jwt-bearer grant (RFC 7523): where it meets the other doors, tickets, and humans. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { people } from '../support/humans.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

let installation: Installation
let server: RunningServer
let api: Api
beforeAll(async () => {
  installation = await createInstallation()
  server = await startBroker(installation)
  api = createApi(server, installation)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})

const job = () => installation.jobToken({ jti: randomUUID() })
const present = (assertion: string, more: Record<string, string> = {}) =>
  api.form('/oauth/token', {
    ...{ grant_type: JWT_BEARER, assertion, authorization_details: JSON.stringify([asks.orders]) },
    ...more,
  })
const exchange = (more: Record<string, string>) =>
  api.form('/oauth/token', { grant_type: TOKEN_EXCHANGE, ...more })

describe('an assertion', () => {
  test('is what a subject token is: used up at one grant, it is used up at the other', async () => {
    const [one, other] = [await job(), await job()]
    const details = { authorization_details: JSON.stringify([asks.orders]) }
    const subject = (token: string) => ({
      ...details,
      ...{ subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
    })
    expect((await present(one)).status).toBe(200)
    expect((await exchange(subject(one))).body.error).toBe('invalid_request')
    expect((await exchange(subject(other))).status).toBe(200)
    const late = await present(other)
    expect([late.status, late.body]).toEqual([
      400,
      { error: 'invalid_grant', error_description: 'the assertion was not accepted as evidence' },
    ])
    expect(late.headers.get('cache-control')).toBe('no-store')
  })

  test('sent again after a lost answer replaces the task that it opened', async () => {
    const assertion = await job()
    const first = await present(assertion)
    installation.clock.advance(1_100)
    const second = await present(assertion)
    expect([first.status, second.status]).toEqual([200, 200])
    expect(await server.broker.ledger.read.task(first.body.task_id)).toMatchObject({ end: 'cancelled' })
  })

  test('of a child comes with its ticket', async () => {
    const parent = await api.open([asks.orders], {
      evidence: { type: 'jwt', token: installation.svid('/agent/coder') },
    })
    const made = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
      ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.orders] },
    })
    const child = await present(installation.svid('/agent/reviewer'), { ticket: made.body.ticket })
    expect(child.status, JSON.stringify(child.body)).toBe(200)
    expect(await server.broker.ledger.read.task(child.body.task_id)).toMatchObject({ parent: parent.id })
  })
})

test('where humans are asked, the caller comes back by token exchange with the token of its task', async () => {
  const { policy, people: strangers } = server.broker
  server.broker.policy = askingPolicy()
  server.broker.people = people()
  const details = { authorization_details: JSON.stringify([asks.api]) }
  const answer = await present(await job(), details)
  expect([answer.status, answer.body.error]).toEqual([400, 'authorization_pending'])
  const poll = await exchange({
    subject_token: answer.body.task_token,
    subject_token_type: 'urn:mayfly:oauth:token-type:task_token',
  })
  expect([poll.status, poll.body.error]).toEqual([400, 'authorization_pending'])
  // A task token is no assertion.
  expect((await present(answer.body.task_token, details)).body.error).toBe('invalid_grant')
  Object.assign(server.broker, { policy, people: strangers })
})
