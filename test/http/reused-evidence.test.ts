/** JWT-SVIDs as an agent's cache hands them out: one token, again and again. */
import * as DPoP from 'dpop'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'

const PUBLIC = 'http://127.0.0.1:8480'

let installation: Installation
let broker: Awaited<ReturnType<typeof startBroker>>
let api: Api
beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

let minted = 0
/** One token for each test, without a jti: its second only tells it from others. */
function svid(): string {
  minted += 1
  return installation.spiffe.mintSvid({ sub: '/agent/coder', ttlS: 200 + minted })
}

let purposes = 0
function open(token: string, wanted: unknown[] = [asks.apiRead], over: object = {}): Promise<Answer> {
  purposes += 1
  return api.call('POST', '/v1/tasks', undefined, {
    evidence: { type: 'jwt', token },
    purpose: `work ${purposes}`,
    authorization_details: wanted,
    ...over,
  })
}

const end = ({ body }: Answer) =>
  api.call('POST', `/v1/tasks/${body.task.id}/complete`, body.task_token, { outcome: 'completed' })

describe('without a key', () => {
  test('it opens one task at a time', async () => {
    const token = svid()
    const first = await open(token)
    expect(first.status).toBe(201)
    const second = await open(token)
    expect([second.status, second.body.code]).toEqual([409, 'evidence_in_use'])
    await end(first)
    expect((await open(token)).status).toBe(201)
  })

  test('after the first it is good for reading only, whatever is asked for later', async () => {
    const token = svid()
    const first = await open(token, [asks.api])
    expect(first.status).toBe(201)
    await end(first)
    const write = await open(token, [asks.api])
    expect([write.status, write.body.code]).toEqual([403, 'ask_denied'])
    expect(write.body.detail).toMatch(/good for reading only/)
    const read = await open(token)
    expect(read.status).toBe(201)
    const later = await api.call('POST', `/v1/tasks/${read.body.task.id}/credentials`, read.body.task_token, {
      authorization_details: [asks.api],
    })
    expect([later.status, later.body.code]).toEqual([403, 'ask_denied'])
    await end(read)
  })

  test('of many at once one opens', async () => {
    const token = svid()
    const answers = await Promise.all(Array.from({ length: 8 }, () => open(token)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(7)
  })

  test('a lost answer is not the end of it: the same request takes the place of the first', async () => {
    const token = svid()
    const same = { purpose: 'the very same' }
    const first = await open(token, [asks.api], same)
    const soon = await open(token, [asks.api], same)
    expect([soon.status, soon.headers.get('retry-after')]).toEqual([409, '1'])
    installation.clock.advance(2_000)
    const again = await open(token, [asks.api], same)
    expect(again.status).toBe(201)
    const replaced = await api.call('GET', `/v1/tasks/${first.body.task.id}`, first.body.task_token)
    expect(replaced.body.state).not.toBe('active')
    await end(again)
  })
})

describe('with a key', () => {
  const openWith = async (keys: DPoP.KeyPair, token: string): Promise<Answer> => {
    const send = async (nonce?: string) => {
      const dpop = await DPoP.generateProof(keys, `${PUBLIC}/v1/tasks`, 'POST', nonce)
      purposes += 1
      const response = await fetch(`${broker.url}/v1/tasks`, {
        method: 'POST',
        headers: { dpop, 'content-type': 'application/json' },
        body: JSON.stringify({
          evidence: { type: 'jwt', token },
          purpose: `work ${purposes}`,
          authorization_details: [asks.api],
        }),
      })
      return { status: response.status, body: await response.json(), headers: response.headers } as Answer
    }
    const first = await send()
    return send(first.headers.get('dpop-nonce')!)
  }

  test('it opens as many tasks as the agent may have, for whoever holds the key alone', async () => {
    // The client has no other clock than this machine's.
    installation.clock.advance(-2_000)
    const [mine, theirs] = [await DPoP.generateKeyPair('ES256'), await DPoP.generateKeyPair('ES256')]
    const token = svid()
    for (let time = 0; time < 3; time += 1) expect((await openWith(mine, token)).status).toBe(201)
    const stolen = await openWith(theirs, token)
    expect([stolen.status, stolen.body.code]).toEqual([401, 'evidence_rejected'])
    const bare = await open(token)
    expect([bare.status, bare.body.code]).toEqual([401, 'evidence_rejected'])
  })
})
