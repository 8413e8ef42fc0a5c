/** Every call to GitHub fails once, before its effect and after it: no live token is left that the ledger does not know. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createOctoInstallation, exchangeAt, type OctoInstallation, policyFor } from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
beforeAll(async () => {
  installation = await createOctoInstallation()
  installation.put(1, 'deploy', policyFor(installation))
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

/** Live tokens whose lease the ledger has closed, or never had. */
async function strangers(): Promise<string[]> {
  const live = installation.github.credentials().filter(one => one.alive)
  const found: string[] = []
  for (const { userAgent } of live) {
    const id = /lse_\w+/.exec(userAgent)?.[0] ?? ''
    const lease = await broker.broker.ledger.read.lease(id)
    if (lease === undefined || lease.state === 'closed') found.push(userAgent)
  }
  return found
}

test('an exchange whose nth call is lost gives a token or an outage, and nothing is forgotten', async () => {
  const statuses = new Set<number>()
  let isStruck = true
  for (let nth = 0; isStruck; nth++) {
    installation.clock.advance(6 * 60_000)
    let calls = 0
    isStruck = false
    installation.github.faults = () => {
      isStruck ||= calls === nth
      return calls++ === nth ? 'drop' : 'ok'
    }
    const query = { scope: 'acme/api', identity: 'deploy' }
    const answer = await exchangeAt(broker.url, query, await installation.octoToken())
    installation.github.faults = () => 'ok'
    statuses.add(answer.status)
    expect([200, 500, 503], JSON.stringify(answer.body)).toContain(answer.status)
    expect(await strangers()).toEqual([])
    expect(nth).toBeLessThan(100)
  }
  expect(statuses).toContain(200)
  installation.clock.advance(2 * 3_600_000)
  await broker.look()
  expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
})
