/** "Write only from a sandbox without internet, running an image we built", through the port. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as DPoP from 'dpop'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createMayfly } from '../../src/client/index.ts'
import { isOver } from '../../src/client/keep-alive.ts'
import { runInProcess } from '../cli/in-process.ts'
import { status } from '../fakes/identity/key-server.ts'
import { type Sandbox, startSandbox } from '../fakes/identity/sandbox.ts'
import { createSigstore, type Sigstore } from '../fakes/identity/sigstore.ts'
import { AUDIENCE, asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'

const PUBLIC = 'http://127.0.0.1:8480'
const BOASTING = `${AUDIENCE}/boasting`
const SEALED = `${AUDIENCE}/sealed`
const IMAGE = `sha256:${'a1'.repeat(32)}`
const OTHER_IMAGE = `sha256:${'b2'.repeat(32)}`
const DAY_MS = 86_400_000

const POLICY = `
@id("reads") permit (principal, action in Mayfly::Action::"*:read", resource);
@id("writes-from-our-sandbox") permit (principal, action in Mayfly::Action::"*:*", resource)
when {
  context.claims has "sandbox.network" && context.claims["sandbox.network"] == "none" &&
  context.claims has "provenance.repository_id" && context.claims["provenance.repository_id"] == "11"
};
@id("writes-from-a-sealed-one") permit (principal, action in Mayfly::Action::"*:*", resource)
when { context.claims has "sealed.network" && context.claims["sealed.network"] == "none" };
`

let installation: Installation
let broker: Awaited<ReturnType<typeof startBroker>>
let api: Api
let sandbox: Sandbox
let sigstore: Sigstore
let operator: string

beforeAll(async () => {
  installation = await createInstallation()
  const { directory, clock, configPath, agents } = installation
  sandbox = await startSandbox({ now: clock.now, audience: AUDIENCE })
  sigstore = await createSigstore(clock.now)
  await writeFile(join(directory, 'trusted_root.jsonl'), `${sigstore.trustedRoot()}\n`)
  await mkdir(join(directory, 'policies'))
  await writeFile(join(directory, 'policies', 'main.cedar'), POLICY)
  const { attestors } = parse(await readFile(configPath, 'utf8'))
  const claims = { image_digest: 'string', network: 'string' }
  const signed = { type: 'signed-statement', issuer: sandbox.issuer, algorithms: ['ES256'], claims }
  const more = {
    sandbox: { ...signed, audience: AUDIENCE, about: 'subject' },
    boasting: {
      ...{ type: 'oidc', issuer: installation.identityProvider.issuer, audience: BOASTING },
      ...{ claims: { 'sandbox.network': 'string', 'provenance.repository_id': 'string' } },
    },
    sealed: { ...signed, audience: SEALED, about: 'key' },
    ofjobs: { ...signed, audience: `${SEALED}/jobs`, about: { subject_of: 'actions' } },
    provenance: {
      ...{ type: 'slsa-provenance', trusted_root_file: 'trusted_root.jsonl', owner_id: '5001' },
      digest_claim: 'sandbox.image_digest',
    },
  }
  const { coder } = agents
  const subject = (name: string) => `spiffe://acme.test/agent/${name}`
  await installation.configure({
    settings: { policies_dir: 'policies', attestors: { ...attestors, ...more } },
    agents: {
      ruled: {
        ...coder,
        attest: [
          {
            ...{ attestor: 'spire', subject: subject('ruled') },
            claims: { 'sandbox.network': 'none', 'provenance.repository_id': '11' },
          },
        ],
      },
      boaster: { ...coder, attest: [{ attestor: 'boasting', subject: 'boaster' }] },
      beating: {
        ...{ ...coder, heartbeat_seconds: 30, posture_with_heartbeat: ['sandbox', 'provenance'] },
        attest: [{ attestor: 'spire', subject: subject('beating') }],
      },
    },
  })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), sandbox?.close()])
})

const jwt = (token: string) => ({ type: 'jwt', token }) as const
const named = (who: string) => `spiffe://acme.test/agent/${who}`
const stated = (who = 'coder', over: Record<string, unknown> = {}) =>
  jwt(sandbox.state({ sub: named(who), image_digest: IMAGE, network: 'none', ...over }))
/** Of six minutes and a half ago, and good for two more by its own word. */
const old = () => {
  const nowS = Math.floor(installation.clock.now() / 1000)
  return { iat: nowS - 400, exp: nowS + 120 }
}
const built = async (over: object = {}) => ({
  type: 'sigstore' as const,
  bundle: await sigstore.attest({ image: IMAGE, ...over }),
})
const both = async (who = 'coder') => [stated(who), await built()]

let opened = 0
function open(
  posture: unknown[] | undefined,
  over: Record<string, unknown> = {},
  who = 'coder',
): Promise<Answer> {
  opened += 1
  return api.call('POST', '/v1/tasks', undefined, {
    evidence: jwt(installation.svid(`/agent/${who}`)),
    purpose: `work ${opened}`,
    authorization_details: [asks.api],
    ...(posture === undefined ? {} : { posture }),
    ...over,
  })
}

/** What the ledger says of the evidence that was rejected last. */
async function lastRejection() {
  const { items } = await broker.broker.ledger.read.audit({}, { limit: 1_000 })
  const rejected = items.filter(({ event }) => event === 'evidence.rejected')
  return JSON.parse(rejected.toSorted((a, b) => a.seq - b.seq).at(-1)?.data ?? '{}')
}

describe('by policy', () => {
  test('with both statements it may write', async () => {
    const answer = await open(await both())
    expect(answer.status).toBe(201)
    const minted = await api.call(
      'POST',
      `/v1/tasks/${answer.body.task.id}/credentials`,
      answer.body.task_token,
      {
        ask: answer.body.task.asks[0].id,
      },
    )
    expect(minted.status).toBe(201)
  })

  test('whichever comes first', async () => {
    expect((await open((await both()).toReversed())).status).toBe(201)
  })

  test.each<[string, () => Promise<unknown[] | undefined>]>([
    ['without any', async () => undefined],
    ['without the provenance', async () => [stated()]],
    ['from a sandbox with internet', async () => [stated('coder', { network: 'internet' }), await built()]],
    ['of another repository’s image', async () => [stated(), await built({ said: { 15: '12' } })]],
  ])('%s it may read, and not write', async (_what, posture) => {
    const write = await open(await posture())
    expect([write.status, write.body.code]).toEqual([403, 'ask_denied'])
    expect((await open(await posture(), { authorization_details: [asks.apiRead] })).status).toBe(201)
  })
})

describe('refused as evidence is', () => {
  test.each<[string, () => Promise<unknown[]>, string, string]>([
    ['a statement of another workload', async () => [stated('reviewer')], 'sandbox', 'not_of_this_workload'],
    [
      'one of that subject, of whom another attestor proves',
      async () => [stated('coder', { aud: `${SEALED}/jobs` })],
      'ofjobs',
      'not_of_this_workload',
    ],
    ['a stale one', async () => [stated('coder', old())], 'sandbox', 'too_old'],
    [
      'one that is signed by somebody else',
      async () => [jwt(`${stated().token.slice(0, -8)}AAAAAAAA`)],
      'sandbox',
      'signature_invalid',
    ],
    [
      'two of one sandbox',
      async () => [stated(), stated('coder', { network: 'internet' })],
      'sandbox',
      'stated_twice',
    ],
    [
      'provenance of another image',
      async () => [stated(), await built({ image: OTHER_IMAGE })],
      'provenance',
      'not_of_this_workload',
    ],
    ['provenance alone', async () => [await built()], 'provenance', 'not_of_this_workload'],
    [
      'provenance of another owner',
      async () => [stated(), await built({ said: { 17: '5002' } })],
      'provenance',
      'subject_not_acceptable',
    ],
    [
      'provenance of long ago',
      async () => [stated(), await built({ signedAt: installation.clock.now() - 91 * DAY_MS })],
      'provenance',
      'too_old',
    ],
    [
      'an identity for a statement',
      async () => [jwt(installation.svid('/agent/coder'))],
      'none',
      'issuer_not_trusted',
    ],
  ])('%s', async (_what, posture, attestor, rejection) => {
    const answer = await open(await posture())
    expect([answer.status, answer.body.code]).toEqual([401, 'evidence_rejected'])
    expect(await lastRejection()).toMatchObject({ attestor, rejection })
  })

  test('a statement for an identity: posture alone opens nothing', async () => {
    const alone = await open(undefined, { evidence: stated() })
    expect([alone.status, alone.body.code]).toEqual([401, 'evidence_rejected'])
    expect(await lastRejection()).toMatchObject({ attestor: 'spire', rejection: 'type_not_allowed' })
    const bundle = await open(undefined, { evidence: await built() })
    expect([bundle.status, bundle.body.code]).toEqual([400, 'request_invalid'])
  })

  test('a bundle that is larger than a body may be', async () => {
    const bundle = { ...(await built()).bundle, padding: 'x'.repeat(64 * 1024) }
    expect((await open([{ type: 'sigstore', bundle }])).status).toBe(413)
  })

  test('an identity’s own claim that is called like one of posture', async () => {
    const said = { 'sandbox.network': 'none', 'provenance.repository_id': '11' }
    const token = await installation.identityProvider.mintToken({ sub: 'boaster', aud: BOASTING, ...said })
    const answer = await open(undefined, { evidence: jwt(token) })
    expect([answer.status, answer.body.code]).toEqual([403, 'ask_denied'])
  })
})

describe('by a rule of the agent', () => {
  test('both statements make it that agent', async () => {
    const answer = await open(await both('ruled'), {}, 'ruled')
    expect([answer.status, answer.body.task?.agent]).toEqual([201, 'ruled'])
  })

  test('one, or none, makes it nobody', async () => {
    for (const posture of [
      undefined,
      [stated('ruled')],
      [stated('ruled', { network: 'internet' }), await built()],
    ]) {
      const answer = await open(posture, {}, 'ruled')
      expect([answer.status, answer.body.code]).toEqual([403, 'agent_unmatched'])
    }
  })
})

describe('about a key', () => {
  const openWith = async (keys: DPoP.KeyPair, jkt: string): Promise<Answer> => {
    const statement = sandbox.state({
      ...{ sub: 'box 7', aud: SEALED, image_digest: IMAGE, network: 'none', cnf: { jkt } },
    })
    const send = async (nonce?: string) => {
      opened += 1
      const response = await fetch(`${broker.url}/v1/tasks`, {
        method: 'POST',
        headers: {
          dpop: await DPoP.generateProof(keys, `${PUBLIC}/v1/tasks`, 'POST', nonce),
          'content-type': 'application/json',
        },
        body: JSON.stringify({
          ...{ evidence: jwt(installation.svid('/agent/coder')), purpose: `work ${opened}` },
          ...{ authorization_details: [asks.api], posture: [jwt(statement)] },
        }),
      })
      return { status: response.status, body: await response.json(), headers: response.headers } as Answer
    }
    return send((await send()).headers.get('dpop-nonce')!)
  }

  test('it counts for whoever holds that key, and for nobody else', async () => {
    const [mine, theirs] = [await DPoP.generateKeyPair('ES256'), await DPoP.generateKeyPair('ES256')]
    const jkt = await DPoP.calculateThumbprint(mine.publicKey)
    expect((await openWith(mine, jkt)).status).toBe(201)
    const stolen = await openWith(theirs, jkt)
    expect([stolen.status, stolen.body.code]).toEqual([401, 'evidence_rejected'])
    expect(await lastRejection()).toMatchObject({ attestor: 'sealed', rejection: 'not_of_this_workload' })
  })
})

describe('a request that comes again', () => {
  test('with fresh statements of the same is the same; with others it is another', async () => {
    const job = 'repo:acme/api:ref:refs/heads/main'
    const inside = async (image_digest: string) => [
      stated('', { sub: job, image_digest }),
      await built({ image: image_digest }),
    ]
    const same = { evidence: jwt(await installation.jobToken()), purpose: 'once' }
    const first = await open(await inside(IMAGE), same)
    expect(first.status).toBe(201)
    for (const other of [await inside(OTHER_IMAGE), [stated('', { sub: job })], undefined]) {
      installation.clock.advance(1_500)
      const answer = await open(other, same)
      expect([answer.status, answer.body.code]).toEqual([401, 'evidence_rejected'])
    }
    const again = await open(await inside(IMAGE), same)
    expect(again.status).toBe(201)
    const replaced = await api.call('GET', `/v1/tasks/${first.body.task.id}`, first.body.task_token)
    expect(replaced.body.state).not.toBe('active')
  })
})

describe('with each heartbeat', () => {
  async function beating() {
    const { status: code, body } = await open(await both('beating'), {}, 'beating')
    if (code !== 201) throw new Error(JSON.stringify(body))
    const task = {
      id: body.task.id as string,
      token: body.task_token as string,
      asks: [body.task.asks[0].id],
      answer: body,
    }
    const beat = (posture?: unknown[]) =>
      api.call(
        'POST',
        `/v1/tasks/${task.id}/heartbeat`,
        task.token,
        posture === undefined ? undefined : { posture },
      )
    return { task, beat }
  }

  test('it is opened with them', async () => {
    const answer = await open([stated('beating')], { authorization_details: [asks.apiRead] }, 'beating')
    expect([answer.status, answer.body.code]).toEqual([400, 'posture_needed'])
  })

  test('fresh ones keep it alive', async () => {
    const { beat } = await beating()
    installation.clock.advance(20_000)
    const answer = await beat(await both('beating'))
    expect(answer.status).toBe(200)
    expect(Date.parse(answer.body.heartbeat_due)).toBeGreaterThan(installation.clock.now())
  })

  test('without them, or with one of them, it is silence, and the task lapses', async () => {
    const { task, beat } = await beating()
    for (const posture of [undefined, [], [stated('beating')]]) {
      const answer = await beat(posture)
      expect([answer.status, answer.body.code]).toEqual([400, 'posture_needed'])
    }
    const stale = await beat([stated('beating', old()), await built()])
    expect([stale.status, stale.body.code]).toEqual([401, 'evidence_rejected'])
    for (let time = 0; time < 4; time += 1) {
      installation.clock.advance(10_000)
      await broker.look()
    }
    expect((await api.until(task, 'ended')).body.end).toBe('lapsed')
  })

  test.each<[string, () => Promise<unknown[]>]>([
    ['another network', async () => [stated('beating', { network: 'internet' }), await built()]],
    [
      'another image of ours',
      async () => [stated('beating', { image_digest: OTHER_IMAGE }), await built({ image: OTHER_IMAGE })],
    ],
    [
      'another build of the image',
      async () => [stated('beating'), await built({ said: { 14: 'refs/heads/x' } })],
    ],
  ])('%s ends the task and all that it holds', async (_what, posture) => {
    const { task, beat } = await beating()
    const credential = await api.credential(task)
    expect(credential.status).toBe(201)
    const answer = await beat(await posture())
    expect([answer.status, answer.body.code]).toEqual([409, 'task_not_active'])
    const { body } = await api.until(task, 'settled')
    expect([body.end, body.credentials[0].state]).toEqual(['revoked', 'closed'])
  })

  test('an outage of whoever vouches is an outage, and ends nothing', async () => {
    const { task, beat } = await beating()
    for (let time = 0; time < 2; time += 1) {
      installation.clock.advance(20_000)
      expect((await beat(await both('beating'))).status).toBe(200)
    }
    // A key that nobody could look for.
    const rotated = jwt(
      sandbox.state({ sub: named('beating'), image_digest: IMAGE, network: 'none' }, { kid: 'new' }),
    )
    sandbox.server.answer('*', status(503))
    const out = await beat([rotated, await built()])
    sandbox.server.answer('*', undefined)
    expect([out.status, out.body.code]).toEqual([503, 'attestation_unavailable'])

    const root = join(installation.directory, 'trusted_root.jsonl')
    await writeFile(root, '')
    const unread = await beat(await both('beating'))
    await writeFile(root, sigstore.trustedRoot())
    expect([unread.status, unread.body.code]).toEqual([503, 'attestation_unavailable'])
    expect((await api.show(task)).body.state).toBe('active')
    expect((await beat(await both('beating'))).status).toBe(200)
  })

  test('a statement that the task was not opened with is not taken', async () => {
    const answer = await open(undefined, { authorization_details: [asks.apiRead] })
    const path = `/v1/tasks/${answer.body.task.id}/heartbeat`
    const beat = await api.call('POST', path, answer.body.task_token, { posture: [stated()] })
    expect([beat.status, beat.body.code]).toEqual([400, 'request_invalid'])
    expect((await api.call('POST', path, answer.body.task_token)).status).toBe(200)
  })
})

describe('operators', () => {
  const simulate = (body: object) => api.call('POST', '/v1/policies/simulate', operator, body)

  test('see it in the decision', async () => {
    const { body } = await open(await both())
    const explained = await api.call('GET', `/v1/decisions/${body.decision}`, operator)
    expect(JSON.stringify(explained.body)).toContain('"sandbox.network":"none"')
  })

  test('may simulate it, and nothing is left of that', async () => {
    const request = async (posture: unknown[]) => ({
      ...{ evidence: jwt(installation.svid('/agent/coder')), authorization_details: [asks.apiRead], posture },
    })
    const before = (await broker.broker.ledger.read.audit({}, { limit: 1_000 })).items.length
    const allowed = await simulate(await request(await both()))
    expect(allowed.body.facts.identity.claims).toMatchObject({ 'sandbox.network': 'none' })
    const refused = await simulate(await request([stated('reviewer')]))
    expect(refused.body).toMatchObject({ outcome: 'deny', stage: 'attest' })
    expect(refused.body.reasons[0]).toMatch(/^sandbox: not_of_this_workload/)
    expect((await broker.broker.ledger.read.audit({}, { limit: 1_000 })).items.length).toBe(before)
  })
})

describe('clients', () => {
  test('open with statements, and bring fresh ones from the first heartbeat on that wants them', async () => {
    let asked = 0
    const calls: string[] = []
    const mayfly = createMayfly({
      url: broker.url,
      evidence: () => installation.svid('/agent/beating'),
      async posture() {
        asked += 1
        return [stated('beating'), await built()]
      },
      async fetch(input, init) {
        const response = await fetch(input, init)
        calls.push(`${new URL(String(input)).pathname.split('/').at(-1)} ${response.status}`)
        return response
      },
    })
    const task = await mayfly.openTask({ purpose: 'beats', asks: [] })
    await task.heartbeat()
    await task.heartbeat()
    expect(calls).toEqual(['tasks 201', 'heartbeat 400', 'heartbeat 200', 'heartbeat 200'])
    expect(asked).toBe(3)
    await task.complete()
  })

  test('a heartbeat whose statement is refused has not ended the task', async () => {
    let network = 'none'
    const mayfly = createMayfly({
      url: broker.url,
      evidence: () => installation.svid('/agent/beating'),
      posture: async () => [
        stated('beating', { sub: network === 'none' ? named('beating') : 'x' }),
        await built(),
      ],
    })
    const task = await mayfly.openTask({ purpose: 'beats', asks: [] })
    network = 'other'
    const refused = await task.heartbeat().catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'evidence_rejected' })
    expect(isOver(refused)).toBe(false)
    network = 'none'
    await task.heartbeat()
    await task.complete()
  })

  test('mayfly task open reads them from files', async () => {
    const { directory } = installation
    await writeFile(join(directory, 'job.jwt'), installation.svid('/agent/ruled'))
    await writeFile(join(directory, 'sandbox.jwt'), `${stated('ruled').token}\n`)
    await writeFile(join(directory, 'image.sigstore.json'), JSON.stringify((await built()).bundle, null, 2))
    await writeFile(join(directory, 'neither.txt'), 'not a statement')
    const run = async (...files: string[]) => {
      const said: string[] = []
      const code = await runInProcess(
        [
          ...['task', 'open', '--purpose', 'by hand', '--broker', broker.url, '--evidence-file', 'job.jwt'],
          ...['--task-token-file', 'task.json', ...files.flatMap(file => ['--posture-file', file])],
        ],
        {
          ...{ home: directory, env: {}, input: '' },
          out: text => said.push(text),
          err: text => said.push(text),
        },
      )
      return { code, said: said.join('') }
    }
    expect(await run('neither.txt')).toMatchObject({
      code: 1,
      said: expect.stringContaining('neither a signed'),
    })
    expect(await run('absent.txt')).toMatchObject({
      code: 1,
      said: expect.stringContaining('cannot be read'),
    })
    expect(await run('sandbox.jwt', 'image.sigstore.json')).toMatchObject({
      code: 0,
      said: expect.stringContaining('agent     ruled'),
    })
  })
})
