import { afterAll, beforeAll, expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'

let installation: Installation
let broker: RunningServer

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

// The limit was declared and kept by nothing, and of more than a hundred credentials the rest was not shown.
test('a task is given so many credentials and no more, and is shown all of them', async () => {
  const api = createApi(broker, installation)
  const task = await api.open([asks.orders])
  const most = LIMITS.credentialsPerTask
  for (let given = 0; given < most; given += 32) {
    const answers = await Promise.all(Array.from({ length: 32 }, () => api.credential(task)))
    expect(new Set(answers.map(one => one.status))).toEqual(new Set([201]))
  }
  const refused = await api.credential(task)
  expect(refused.body).toMatchObject({
    code: 'budget_exhausted',
    detail: `a task may be given ${most} credentials after it was opened`,
  })
  expect((await api.show(task)).body.credentials.length).toBe(most)
  expect((await api.complete(task)).body.credentials.length).toBe(most)
})
