import { afterEach, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { AUDIENCE, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'

let installation: Installation
let broker: RunningServer | undefined
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  await installation.close()
})

const OTHER = 'https://other.test'

async function withTwo(audience: string): Promise<void> {
  installation = await createInstallation()
  const { issuer } = installation.identityProvider
  const spire = {
    ...{ type: 'spiffe-jwt', trust_domain: 'acme.test', audience: AUDIENCE },
    bundle_file: 'bundle.json',
  }
  const attestors = {
    actions: { type: 'github-actions', issuer, audience: AUDIENCE },
    deploys: { type: 'github-actions', issuer, audience },
    spire,
  }
  await installation.configure({ settings: { attestors } })
}

// Every token of the issuer was recognised twice, and so by nobody.
test('two audiences of one issuer are two attestors, and each takes its own', async () => {
  await withTwo(OTHER)
  broker = await startBroker(installation)
  const api = createApi(broker, installation)
  const open = async (aud: string) => {
    const evidence = { type: 'jwt', token: await installation.jobToken({ aud }) }
    return api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'p', authorization_details: [] })
  }
  expect((await open(AUDIENCE)).status).toBe(201)
  // Attested, by the other attestor, for which no agent has a rule.
  expect((await open(OTHER)).body.code).toBe('agent_unmatched')
  expect((await open('https://nobody.test')).body.code).toBe('evidence_rejected')
  const { items } = await broker.broker.ledger.read.audit({}, { limit: 100 })
  const rejected = items.find(row => row.event === 'evidence.rejected')
  expect(JSON.parse(rejected!.data)).toMatchObject({ attestor: 'none', rejection: 'audience_wrong' })
})

test('two attestors that would take the same tokens are refused, with line and key', async () => {
  await withTwo(AUDIENCE)
  await expect(startBroker(installation)).rejects.toThrow(
    /mayfly\.yaml:\d+:\d+: attestors\.deploys\.audience: expected an audience of its own: actions takes the same/,
  )
})
