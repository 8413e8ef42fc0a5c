import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, silent, startBroker } from '../fakes/installation.ts'
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

test('reloads under load drop no request, and each one is judged by one configuration', async () => {
  const api = createApi(broker, installation)
  const seen = new Map<string, number>()
  const answers = { opened: 0, minted: 0 }
  let reloading = true

  const client = async () => {
    while (reloading) {
      const task = await api.open([asks.orders])
      answers.opened += 1
      const minted = await api.credential(task)
      expect(minted.status, JSON.stringify(minted.body)).toBe(201)
      answers.minted += 1
      const { agent_digest } = (await broker.broker.ledger.read.task(task.id))!
      seen.set(agent_digest, (seen.get(agent_digest) ?? 0) + 1)
      await api.complete(task)
    }
  }
  const clients = Array.from({ length: 6 }, client)
  for (let round = 1; round <= 8; round++) {
    // Something that live tasks are judged by, and that lets all of them live.
    const expires_at = `204${round}-01-01T00:00:00Z`
    const release = { ...installation.agents.release, expires_at }
    await installation.configure({ agents: { release } })
    await broker.reload()
    // Each round's agent is in force for somebody: the requests do meet the reloads.
    const { digest } = (await broker.broker.ledger.read.agent('release'))!
    await expect.poll(() => seen.get(digest) ?? 0).toBeGreaterThan(0)
  }
  reloading = false
  await Promise.all(clients)
  expect(answers.minted).toBe(answers.opened)
})

test('what a reload cannot put in force is named, in the log and at /readyz, until it is in force', async () => {
  const warned: [object, string][] = []
  const own = await createInstallation()
  const server = await startBroker(own, {
    ...silent,
    warn: (fields, text) => void warned.push([fields, text]),
  })
  const ready = async () => (await fetch(`${server.url}/readyz`)).json()
  try {
    await server.reload()
    expect([warned, await ready()]).toEqual([[], { status: 'ready' }])

    // It was ignored, while the log said that the configuration was read again.
    await mkdir(join(own.directory, 'next'))
    await own.configure({
      settings: { policies_shadow_dir: 'next', task_defaults: { minutes: 20 } },
      aws: { max_session_minutes: 30 },
    })
    await server.reload()
    const settings = ['issuers.aws.max_session_minutes', 'policies_shadow_dir', 'task_defaults.minutes']
    expect(warned).toEqual([
      [{ settings }, `settings that changed count after a restart: ${settings.join(', ')}`],
    ])
    const restart_needed = ['issuers', 'policies_shadow_dir', 'task_defaults']
    expect(await ready()).toEqual({ status: 'ready', restart_needed })

    await own.configure({})
    await server.reload()
    expect(await ready()).toEqual({ status: 'ready' })
    const text = await readFile(own.configPath, 'utf8')
    await writeFile(own.configPath, `${text}\nagents_folder: there\n`)
    await server.reload()
    expect(warned.at(-1)?.[0]).toEqual({ problem: expect.stringContaining('agents_folder') })
  } finally {
    await server.stop()
    await own.close()
  }
})
