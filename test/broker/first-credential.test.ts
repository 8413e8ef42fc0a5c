import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

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

test('a token exchange whose mint came to nothing ends its task: nobody else could', async () => {
  let mints = 0
  installation.github.faults = ({ operation, when }) => {
    if (operation !== 'apps/create-installation-access-token' || when === 'before') return 'ok'
    mints += 1
    // The first mint is the broker's own, for the repository's id.
    return mints === 2 ? 'drop' : 'ok'
  }
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: installation.svid('/agent/coder'),
    authorization_details: JSON.stringify([asks.api]),
  }
  const answer = await fetch(`${broker.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) })
  expect([answer.status, await answer.json()]).toMatchObject([503, { error: 'temporarily_unavailable' }])

  const { items } = await broker.broker.ledger.read.tasks({ agent: 'coder' }, { limit: 10 })
  expect(items.map(task => [task.state, task.end])).toEqual([['ended', 'failed']])
  const { items: leases } = await broker.broker.ledger.read.leases({ agent: 'coder' }, { limit: 10 })
  expect(leases.map(lease => [lease.state, lease.closed_as])).toEqual([['revoking', null]])
})
