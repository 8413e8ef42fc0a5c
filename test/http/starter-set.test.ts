/** The shipped starter set in a whole broker: what it gives, what it keeps for humans, what it refuses. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import {
  createDesk,
  createRuledInstallation,
  DEPLOY,
  type Desk,
  type Ruled,
} from '../support/ruled-installation.ts'

const STARTER = join(import.meta.dirname, '../../config/policies/starter')
const DAY_MS = 24 * 3_600_000
const EVENTS = ['push', 'pull_request', 'pull_request_target', 'issue_comment', 'workflow_run']

let installation: Ruled
let server: RunningServer
let desk: Desk
/** An agent of its own for each test: what was given out before is a fact of the set. */
let agent: number

/** Differs from the others by the workflow that it runs as. */
function jobOf(n: number, over: Record<string, unknown> = {}) {
  const base = installation.agents.release!
  const ceiling = base.ceiling as { github: object[] }
  const github = [
    {
      repositories: ['acme/api'],
      permissions: { contents: 'write', issues: 'write', administration: 'write' },
    },
  ]
  return {
    ...{ ...base, ceiling: { ...ceiling, github } },
    attest: [
      { attestor: 'actions', claims: { repository_id: '1', workflow: `agent-${n}`, event_name: EVENTS } },
    ],
    ...over,
  }
}

beforeAll(async () => {
  installation = await createRuledInstallation()
  const names = (await readdir(STARTER)).sort()
  await installation.rules(...(await Promise.all(names.map(name => readFile(join(STARTER, name), 'utf8')))))
  const agents = Object.fromEntries(
    Array.from({ length: 24 }, (_, n) => [`agent-${n}`, jobOf(n, n === 0 ? { risk_tier: 'high' } : {})]),
  )
  await installation.configure({ agents })
  server = await startBroker(installation)
  desk = await createDesk(server, installation)
  agent = 0
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
})
beforeEach(() => {
  agent += 1
})

/** Off the branch that another agent of the installation is for. */
const JOB = { ref: 'refs/heads/work' }
const deploy = { type: 'jwt', audience: DEPLOY, scopes: ['go'] }
const job = async (claims: Record<string, unknown> = {}, n = agent) => ({
  evidence: {
    type: 'jwt',
    token: await installation.jobToken({ ...JOB, workflow: `agent-${n}`, ...claims }),
  },
})
const production = () => job({ environment: 'production' })
const refusal = (wanted: object, extra: object) =>
  desk.api.open([wanted], { ...extra }).then(
    () => 'opened',
    (error: Error) => /"code":"(\w+)"/.exec(error.message)?.[1],
  )
const minted = async (wanted: object, extra: object) =>
  (await desk.api.credential(await desk.api.open([wanted], { ...extra }))).status

test('a push reads and writes, and a job of a protected environment deploys', async () => {
  expect(await minted(asks.apiRead, await job())).toBe(201)
  expect(await minted(asks.api, await job())).toBe(201)
  agent += 1
  expect(await minted(deploy, await production())).toBe(201)
})

describe('who caused it', () => {
  test.each([
    ['pull_request_target', { event_name: 'pull_request_target' }],
    ['issue_comment', { event_name: 'issue_comment' }],
    ['workflow_run', { event_name: 'workflow_run' }],
    ['pull_request', { event_name: 'pull_request', head_ref: 'patch-1', base_ref: 'main' }],
    ['a push that says of itself that it comes from a branch of somebody’s', { head_ref: 'patch-1' }],
  ])('%s reads, and writes nothing', async (_, claims) => {
    expect(await minted(asks.apiRead, await job(claims))).toBe(201)
    expect(await refusal(asks.api, await job(claims))).toBe('ask_denied')
    expect(await refusal(deploy, await job({ ...claims, environment: 'production' }))).toBe('ask_denied')
  })
})

describe('deployments', () => {
  test.each([['none'], ['preview'], ['Production'], ['production-2']])(
    'not from the environment %s',
    async environment => {
      expect(await refusal(deploy, await job(environment === 'none' ? {} : { environment }))).toBe(
        'ask_denied',
      )
    },
  )

  test('what was written is deployed in the same window once two humans agree, and not by one', async () => {
    expect(await minted(asks.api, await job())).toBe(201)
    const { task, approval } = await desk.waiting(deploy, await production())
    expect((await desk.show(approval)).body.missing).toMatchObject([
      { policy: 'deploy-after-write-takes-two', quorum: 2, has: 0 },
    ])
    expect((await desk.approve(approval, 'lea')).body.state).toBe('pending')
    expect((await desk.api.credential(task)).body.code).toBe('approval_pending')
    expect((await desk.approve(approval, 'lea')).body.code).toBe('approved_already')
    expect((await desk.approve(approval, 'olga')).status).toBe(403)
    expect((await desk.approve(approval, 'sam')).body.state).toBe('approved')
    expect((await desk.api.credential(task)).status).toBe(201)
  })

  test('and the other way round, also within one task', async () => {
    expect(await minted(deploy, await production())).toBe(201)
    const { approval } = await desk.waiting(asks.api, await production())
    expect((await desk.show(approval)).body.missing).toMatchObject([
      { policy: 'write-after-deploy-takes-two', quorum: 2 },
    ])
    agent += 1
    // Both were allowed when they were asked for. The second credential is not.
    const task = await desk.api.open([asks.api, deploy], await production())
    const [first, second] = [
      await desk.api.credential(task, task.asks[0]),
      await desk.api.credential(task, task.asks[1]),
    ]
    expect([first.status, second.status, second.body.code]).toEqual([201, 409, 'approval_pending'])
    const waits = (await server.broker.ledger.read.approvalOf(task.asks[1]!))!
    await desk.approve(waits.id, 'lea')
    await desk.approve(waits.id, 'lou')
    expect((await desk.api.credential(task, task.asks[1])).status).toBe(201)
  })

  test('of two credentials at once that do not go together one is given', async () => {
    const task = await desk.api.open([asks.orders, deploy], await production())
    const answers = await Promise.all(task.asks.map(ask => desk.api.credential(task, ask)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
  })
})

describe('what lasts', () => {
  const lasting = { type: 'github', repositories: ['acme/api'], permissions: { administration: 'write' } }

  test('what ends by expiry alone, or could leave access behind, waits for a human', async () => {
    for (const [wanted, rule] of [
      [asks.artifacts(installation.roleArn), 'irrevocable-needs-approval'],
      [lasting, 'lasting-access-needs-approval'],
    ] as const) {
      const { task, approval } = await desk.waiting(wanted, await job())
      expect((await desk.show(approval)).body.missing).toMatchObject([{ policy: rule, quorum: 1 }])
      expect((await desk.approve(approval, 'sam')).body.state).toBe('approved')
      expect((await desk.api.credential(task)).status).toBe(201)
    }
  })

  test('the highest tier gets neither, and nobody is asked', async () => {
    expect(await refusal(asks.artifacts(installation.roleArn), await job({}, 0))).toBe('ask_denied')
    expect(await refusal(lasting, await job({}, 0))).toBe('ask_denied')
    expect(await minted(asks.api, await job({}, 0))).toBe(201)
  })
})

// Last: the window is over for everybody.
test('once the window is over, nobody is asked any more', async () => {
  expect(await minted(asks.api, await job())).toBe(201)
  expect((await desk.waiting(deploy, await production())).approval).toBeDefined()
  installation.clock.advance(DAY_MS + 60_000)
  expect(await minted(deploy, await production())).toBe(201)
})
