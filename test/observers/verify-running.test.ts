import { afterEach, describe, expect, test } from 'vitest'
import { createInstallation, startBroker } from '../fakes/installation.ts'
import { createStage, type Stage } from './github-stage.ts'

let stage: Stage
afterEach(() => stage?.close())

const JOB = 'actions/get-job-for-workflow-run'
const verify = { issuer: 'github', tiers: ['high'] }
const plain = await createInstallation()
const release = plain.agents.release!
await plain.close()

/** The settings in force verify for the high tier; the agent is the release agent with these changes. */
async function withAgent(changes: Record<string, unknown>): Promise<void> {
  const observers = { github_webhooks: { secret_file: 'hook-secret' }, verify_job_running: verify }
  const agents = { release: { ...release, ...changes } }
  stage = await createStage({ settings: { observers }, agents })
}

const lastRejection = async () => {
  const { items } = await stage.broker.broker.ledger.read.audit({}, { limit: 1_000 })
  return JSON.parse(items.filter(row => row.event === 'evidence.rejected').at(-1)!.data)
}

describe('an agent whose jobs are looked at', () => {
  test('opens for a job in progress, and for no other', async () => {
    await withAgent({ risk_tier: 'high' })
    const job = stage.newJob()
    expect((await stage.tryOpen(job)).status).toBe(201)
    for (const to of [
      { status: 'queued' },
      { status: 'waiting' },
      { conclusion: 'success' },
      { conclusion: 'failure' },
    ] as const) {
      stage.installation.github.setJob(job.job, to)
      const answer = await stage.tryOpen(job)
      expect([answer.status, answer.body.code], JSON.stringify(to)).toEqual([401, 'evidence_rejected'])
      expect(await lastRejection()).toMatchObject({ rejection: 'job_not_running' })
    }
    await stage.broker.look()
    expect(stage.installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('does not open for a job that GitHub does not know, or knows as another one', async () => {
    await withAgent({ verify_job_running: true })
    const [job, other] = [stage.newJob(), stage.newJob()]
    for (const wrong of [
      { ...job, job: 42 },
      { ...job, run: other.run },
      { ...job, attempt: 2 },
    ]) {
      expect((await stage.tryOpen(wrong)).body.code).toBe('evidence_rejected')
    }
    const evidence = await stage.evidence(job, { check_run_id: undefined })
    const unnamed = await stage.api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'a test' })
    expect(unnamed.body.code).toBe('evidence_rejected')
    expect(await lastRejection()).toMatchObject({ detail: 'the evidence names no job to ask for' })
  })

  test('is told of an outage as an outage, before and after GitHub answered, and the same evidence serves again', async () => {
    await withAgent({ risk_tier: 'high' })
    const job = stage.newJob()
    const evidence = await stage.evidence(job)
    const open = () => stage.api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'a test' })
    for (const moment of ['before', 'after'] as const) {
      for (const outcome of ['drop', { status: 502, headers: {}, body: '' }] as const) {
        stage.installation.github.faults = ({ operation, when }) =>
          operation === JOB && when === moment ? outcome : 'ok'
        const answer = await open()
        expect([answer.status, answer.body.code]).toEqual([503, 'attestation_unavailable'])
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
    }
    stage.installation.github.faults = ({ operation }) =>
      operation === 'apps/create-installation-access-token' ? { status: 502, headers: {}, body: '' } : 'ok'
    expect((await open()).status).toBe(503)
    stage.installation.github.changeInstallation(77, { permissions: { contents: 'write' } })
    stage.installation.github.faults = () => 'ok'
    expect((await open()).status).toBe(503)
    stage.installation.github.changeInstallation(77, { permissions: { contents: 'write', actions: 'read' } })
    expect((await open()).status).toBe(201)
  })
})

test('agents of other tiers, and those that say no, are not asked about', async () => {
  await withAgent({ risk_tier: 'medium' })
  let asked = 0
  stage.installation.github.faults = ({ operation }) => {
    if (operation === JOB) asked += 1
    return 'ok'
  }
  const job = stage.newJob()
  stage.installation.github.setJob(job.job, { conclusion: 'success' })
  expect((await stage.tryOpen(job)).status).toBe(201)
  await stage.close()
  await withAgent({ risk_tier: 'high', verify_job_running: false })
  const other = stage.newJob()
  stage.installation.github.setJob(other.job, { conclusion: 'success' })
  expect([(await stage.tryOpen(other)).status, asked]).toEqual([201, 0])
})

test('an issuer that cannot look at jobs, or does not exist, is refused at the start; so is an agent without one', async () => {
  stage = await createStage()
  const { installation } = stage
  const agents = { release: { ...release, verify_job_running: true } }
  const settings = { observers: {} }
  await installation.configure({ settings, agents })
  await expect(stage.broker.reload()).rejects.toThrow(/observers\.verify_job_running/)
  await stage.broker.stop()
  for (const [issuer, expected] of [
    ['jwt', /observers\.github_poll\.issuer.*type github-app/],
    ['nobody', /observers\.github_poll\.issuer/],
  ] as const) {
    await installation.configure({ settings: { observers: { github_poll: { issuer } } } })
    await expect(startBroker(installation)).rejects.toThrow(expected)
  }
})

test('so is one that reads no secret scanning alerts', async () => {
  stage = await createStage()
  const { installation } = stage
  await stage.broker.stop()
  await installation.configure({ settings: { leaks: { github_alerts: { issuer: 'jwt' } } } })
  await expect(startBroker(installation)).rejects.toThrow(/leaks\.github_alerts\.issuer.*type github-app/)
})
