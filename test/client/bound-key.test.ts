/** Tasks of the client that are bound to a key, against a whole broker at its own public URL. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMayfly, github, type MayflyOptions } from '../../src/client/index.ts'
import type { RunningServer } from '../../src/server.ts'
import { createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

const PUBLIC = 'http://127.0.0.1:8480'

let installation: Installation
let broker: RunningServer
beforeAll(async () => {
  installation = await createInstallation()
  const { coder } = installation.agents
  await installation.configure({ agents: { coder: { ...coder, bound_key_required: true } } })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const sent: { path: string; status: number; authorization: string | null }[] = []

/** The address that the broker knows itself by is not the one of this test. */
async function toBroker(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const path = String(input).slice(PUBLIC.length)
  const response = await fetch(`${broker.url}${path}`, init)
  sent.push({ path, status: response.status, authorization: new Headers(init?.headers).get('authorization') })
  return response
}

const client = (options: Partial<MayflyOptions> = {}) =>
  createMayfly({
    url: PUBLIC,
    evidence: async () => installation.svid('/agent/coder'),
    fetch: toBroker,
    now: installation.clock.now,
    ...options,
  })

const api = github({ repositories: ['acme/api'], permissions: { contents: 'write' } })

test('an agent that has to bind is refused without a key, and told what to do', async () => {
  await expect(client().openTask({ purpose: 'work', asks: [api] })).rejects.toMatchObject({
    code: 'key_needed',
  })
})

test('with one, the whole life of a task goes by proofs, and a nonce is asked for once', async () => {
  sent.length = 0
  const mayfly = client({ boundKey: true })
  const held: { id: string; token: string }[] = []
  {
    await using task = await mayfly.openTask({ purpose: 'work', asks: [api] })
    held.push({ id: task.id, token: task.token.reveal() })
    expect((await task.credential(api)).reveal()).toMatch(/^ghs_/)
    await task.heartbeat()
    await expect(client().resumeTask(held[0]!)).rejects.toMatchObject({ code: 'key_not_proven' })
    const other = client({ boundKey: true })
    await expect(other.resumeTask(held[0]!)).rejects.toMatchObject({ code: 'key_not_proven' })
    const same = await mayfly.resumeTask(held[0]!)
    expect(same.id).toBe(task.id)
  }
  const own = sent.filter(one => one.authorization?.startsWith('DPoP'))
  expect(own.map(one => one.path)).toContain(`/v1/tasks/${held[0]!.id}/complete`)
  expect(sent.filter(one => one.path === '/v1/tasks').map(one => one.status)).toEqual([401, 201])
})

test('a key may be brought along, and evidence is asked for without it', async () => {
  const keys = (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, [
    'sign',
  ])) as NonNullable<Exclude<MayflyOptions['boundKey'], boolean>>
  const seen: (string | null)[] = []
  const mayfly = client({
    boundKey: keys,
    evidence: async ({ fetch: plain }) => {
      const response = await plain('data:text/plain,hello')
      seen.push(await response.text())
      return installation.svid('/agent/coder')
    },
    fetch: async (input, init) => {
      if (String(input).startsWith('data:')) {
        expect(new Headers(init?.headers).get('dpop')).toBeNull()
        return fetch(input, init)
      }
      return toBroker(input, init)
    },
  })
  const task = await mayfly.openTask({ purpose: 'work', asks: [api] })
  const again = client({ boundKey: keys })
  const resumed = await again.resumeTask({ id: task.id, token: task.token })
  await resumed.complete()
  expect(seen).toEqual(['hello'])
})
