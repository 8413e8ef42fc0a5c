/** Who vouches for humans: what is for one purpose is refused where it would serve another. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AUDIENCE, startBroker } from '../fakes/installation.ts'
import { createDelegation, type Delegation, HUMANS } from '../support/delegation.ts'

let installation: Delegation

beforeAll(async () => {
  installation = await createDelegation()
})
afterAll(() => installation?.close())

const refused = async (humans: unknown[]) => {
  await installation.configure({ settings: { humans } })
  const error: unknown = await startBroker(installation).then(
    running => running.stop().then(() => 'it started'),
    (thrown: unknown) => thrown,
  )
  return String(error)
}

test('an audience that operators have at the same provider', async () => {
  const { issuer, clientId } = installation.people
  expect(await refused([{ issuer, audience: clientId }])).toContain('another audience than that of operators')
})

test('an audience that an attestor has at the same provider', async () => {
  const { issuer } = installation.identityProvider
  expect(await refused([{ issuer, audience: AUDIENCE }])).toContain('attestors.actions')
})

test('the broker itself', async () => {
  expect(await refused([{ issuer: 'http://127.0.0.1:8480', audience: HUMANS }])).toContain('than the broker')
})

test('one provider twice, and a number without its login', async () => {
  const one = { issuer: 'https://id.example.com', audience: HUMANS }
  expect(await refused([one, { ...one, audience: 'other' }])).toContain('each issuer once')
  expect(await refused([{ ...one, github_id_claim: 'id' }])).toContain('github_login_claim')
})
