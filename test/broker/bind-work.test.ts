import { expect, test } from 'vitest'
import type { Broker, Identity } from '../../src/broker/broker.ts'
import { bindingOf } from '../../src/broker/tasks/bind-work.ts'
import { runKey } from '../../src/broker/tasks/work.ts'
import { LIMITS } from '../../src/limits.ts'
import { noMetrics } from '../../src/metrics.ts'

const now = 1_800_000_000_000
const work = { provider: 'ci.test', repository: '1', run: '2', attempt: '3', job: '4' }

const identity = (until: number): Identity => ({
  attestor: 'ci',
  issuer: 'https://ci.test',
  subject: 'job',
  claims: {},
  replay: { id: 'e', singleUse: true, until },
  work,
})

// The parts of a broker that binding touches.
const broker = {
  limits: LIMITS,
  metrics: noMetrics,
  ledger: { now: async () => now, write: async () => undefined },
} as unknown as Broker

test('a task is bound to its job, and lives as long as the job unless more is asked for', async () => {
  const binding = { run_key: 'ci.test/1/2/3', job: '4', work: JSON.stringify(work) }
  const short = identity(now + 300_000)
  expect(await bindingOf(broker, short, undefined)).toEqual({ ...binding, lifetime: 'job' })
  expect(await bindingOf(broker, short, 'run')).toEqual({ ...binding, lifetime: 'run' })
})

test('evidence that could outlive the memory of its end is refused', async () => {
  const kept = LIMITS.workEndKeptMs
  expect(await bindingOf(broker, identity(now + kept), undefined)).toBeDefined()
  await expect(bindingOf(broker, identity(now + kept + 1), undefined)).rejects.toMatchObject({
    code: 'evidence_rejected',
  })
})

test('no two runs share a key, whatever their ids are made of', () => {
  const keys = [
    { ...work, repository: 'a/b', run: 'c' },
    { ...work, repository: 'a', run: 'b/c' },
    { ...work, repository: 'a%2Fb', run: 'c' },
    { ...work, provider: 'ci.test/a', repository: 'b', run: 'c' },
  ].map(runKey)
  expect(new Set(keys).size).toBe(keys.length)
})
