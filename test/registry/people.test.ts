/** Humans at the registry: each team sees and registers its own, and signs in for exactly what it applies. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { sessionOf } from '../support/session.ts'
import { appOf, payer, registryOf, withTeams } from './team.ts'

let installation: PeopledInstallation
let broker: RunningServer

beforeAll(async () => {
  installation = await createPeopledInstallation({
    ...withTeams(),
    people: [
      { id: 'paul', name: 'Paul', groups: ['mayfly-platform', 'payments'] },
      { id: 'bill', name: 'Bill', groups: ['mayfly-platform', 'billing'] },
      { id: 'ada', name: 'Ada', groups: ['mayfly-admin'] },
      { id: 'vera', name: 'Vera', groups: ['mayfly-viewer'] },
      { id: 'zoe', name: 'Zoe', groups: [] },
    ],
  })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const as = async (id: string) => registryOf(broker.url, await sessionOf(broker, installation, id))

describe('a human', () => {
  test('applies what they signed in for, and nothing else', async () => {
    const paul = await as('paul')
    const set = { documents: [payer()] }
    const { body: plan } = await paul.plan(set)
    expect((await paul.apply(set, plan)).body.code).toBe('fresh_sign_in_needed')
    const elsewhere = await installation.signInAs('paul', { boundTo: 'f'.repeat(64) })
    expect((await paul.apply(set, plan, { id_token: elsewhere })).body.code).toBe('fresh_sign_in_needed')
    const another = await installation.signInAs('bill', { boundTo: plan.digest })
    expect((await paul.apply(set, plan, { id_token: another })).body.code).toBe('forbidden')
    const id_token = await installation.signInAs('paul', { boundTo: plan.digest })
    const applied = await paul.apply(set, plan, { id_token })
    expect(applied.status, JSON.stringify(applied.body)).toBe(200)
    const shown = await paul.get('/agent/payments.payer')
    expect(shown.body.actor).toMatch(/^operator:Paul <.*#.*>$/)
  })

  test('of one team neither plans, nor reads, nor applies in the namespace of another', async () => {
    const ada = await as('ada')
    const { issuer, secret } = appOf(installation)
    const first = { documents: [issuer()], secrets: [secret] }
    const planned = await ada.plan(first)
    const signedIn = await installation.signInAs('ada', { boundTo: planned.body.digest })
    expect((await ada.apply(first, planned.body, { id_token: signedIn })).status).toBe(200)
    const bill = await as('bill')
    const set = { documents: [payer({ purpose: 'Pays Bill' })] }
    expect((await bill.plan(set)).body.code).toBe('forbidden')
    expect((await bill.plan({ prune: ['payments'] })).body.code).toBe('forbidden')
    expect((await bill.plan({ remove: [{ kind: 'agent', name: 'payments.payer' }] })).body.code).toBe(
      'forbidden',
    )
    const { body: plan } = await ada.plan(set)
    const id_token = await installation.signInAs('bill', { boundTo: plan.digest })
    expect((await bill.apply(set, plan, { id_token })).body.code).toBe('forbidden')
    for (const path of [
      '/issuer/payments.github',
      '/issuer/payments.github/versions',
      '/agent/payments.payer',
    ])
      expect((await bill.get(path)).status).toBe(404)
    const { body } = await bill.get('/issuer')
    const names = body.items.map((row: { name: string }) => row.name)
    // What the operator shares with all.
    expect(names).toEqual(['aws', 'github', 'jwt'])
    const agentsAs = async (id: string, path: string) => {
      const authorization = `Bearer ${await sessionOf(broker, installation, id)}`
      return fetch(`${broker.url}/v1/agents${path}`, { headers: { authorization } })
    }
    const seenBy = async (id: string) => {
      const { items } = (await (await agentsAs(id, '')).json()) as { items: { name: string }[] }
      return items.some(({ name }) => name === 'payments.payer')
    }
    expect([await seenBy('bill'), await seenBy('paul'), await seenBy('vera')]).toEqual([false, true, true])
    for (const path of ['/payments.payer', '/payments.payer/offboarding'])
      expect((await agentsAs('bill', path)).status).toBe(404)
    expect((await agentsAs('paul', '/payments.payer')).status).toBe(200)
  })

  test('in no group sees nothing of anybody, and a viewer changes nothing', async () => {
    const zoe = await as('zoe')
    expect((await zoe.get('/agent')).body.items ?? []).toEqual([])
    const vera = await as('vera')
    const set = { documents: [payer({ purpose: 'Pays Vera' })] }
    const planned = await vera.plan(set)
    const id_token = await installation.signInAs('vera', { boundTo: planned.body.digest ?? 'f'.repeat(64) })
    const plan = planned.status === 200 ? planned.body : { generation: 1, digest: 'f'.repeat(64) }
    expect((await vera.apply(set, plan, { id_token })).body.code).toBe('forbidden')
  })
})
