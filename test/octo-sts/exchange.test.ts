/** The exchange as clients of octo-sts see it, over HTTP, and what becomes of it here. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createOctoInstallation, exchangeAt, type OctoInstallation, policyFor } from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createOctoInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const read = (token: string, path = 'repos/acme/api/contents/README.md') =>
  fetch(`${installation.github.url}/${path}`, {
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
  })

describe('what is given', () => {
  test('a token for what the policy says, of a task of an agent of its own', async () => {
    installation.put(1, 'deploy', policyFor(installation))
    const answer = await exchangeAt(
      broker.url,
      { scope: 'acme/api', scopes: 'acme/api', identity: 'deploy' },
      await installation.octoToken(),
    )
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(answer.body).toMatchObject({ refreshToken: '', expiry: expect.stringMatching(/Z$/) })
    expect((await read(answer.body.token)).status).toBe(200)
    const task = await broker.broker.ledger.read.task(answer.body.task_id)
    expect(task?.agent).toMatch(/^octo\.acme-api-deploy-[0-9a-f]{12}$/)
    const agent = broker.broker.agents().get(task!.agent)
    expect(agent).toMatchObject({
      attest: [],
      ceiling: {
        github: [{ repositories: [{ id: 1, name: 'acme/api' }], permissions: { contents: 'read' } }],
      },
    })
  })
})

describe('the agent', () => {
  test('is suspended like any other, and then the next exchange is refused', async () => {
    const [name] = [...broker.broker.agents().keys()].filter(one => one.startsWith('octo.'))
    const operator = await operatorTokenOf(broker)
    const suspended = await api.call('POST', `/v1/agents/${name}/suspend`, operator, { reason: 'a test' })
    expect(suspended.status, JSON.stringify(suspended.body)).toBe(200)
    const answer = await exchangeAt(
      broker.url,
      { scope: 'acme/api', identity: 'deploy' },
      await installation.octoToken(),
    )
    expect([answer.status, answer.body.code]).toEqual([403, 7])
  })
})
