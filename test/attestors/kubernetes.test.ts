import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kubernetes } from '../../attestors/kubernetes.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { type Cluster, startCluster } from '../fakes/identity/cluster.ts'
import { createForger } from '../fakes/identity/forger.ts'
import type { KeyServer } from '../fakes/identity/key-server.ts'
import { AUDIENCE, createIssuerSubject, jwt, NOON, open } from './issuer-subject.ts'
import { openTypedStage, type TypedStage } from './typed-stage.ts'

const POD = {
  namespace: 'release',
  node: { name: 'node-3', uid: 'b1c2d3e4-0000-4000-8000-000000000003' },
  pod: { name: 'coder-7f9c', uid: 'b1c2d3e4-0000-4000-8000-000000000001' },
  serviceaccount: { name: 'coder', uid: 'b1c2d3e4-0000-4000-8000-000000000002' },
  warnafter: 1795003607,
}
const CLAIMS = { sub: 'system:serviceaccount:release:coder', 'kubernetes.io': POD }
const badSubject = { sub: 'system:serviceaccount:release:somebody-else' }

describeAttestor('kubernetes', () => createIssuerSubject(kubernetes, CLAIMS, { badSubject }))

const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews'

/** An API server that knows every pod but one. */
function answerReviews(server: KeyServer): void {
  server.answer('/openid/v1/jwks', response => response.end(JSON.stringify(server.keySet)))
  server.answer(REVIEWS, async (response, request) => {
    const { spec } = JSON.parse(Buffer.concat(await request.toArray()).toString())
    const claims = JSON.parse(Buffer.from(spec.token.split('.')[1], 'base64url').toString())
    const { pod, serviceaccount } = claims['kubernetes.io']
    const isGone = pod.uid === 'gone'
    const user = {
      username: claims.sub,
      uid: serviceaccount.uid,
      extra: { 'authentication.kubernetes.io/pod-uid': [pod.uid] },
    }
    const status = isGone
      ? { error: 'pod not found' }
      : { authenticated: true, audiences: spec.audiences, user }
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ status }))
  })
}

describeAttestor('kubernetes with token reviews', () =>
  createIssuerSubject(kubernetes, CLAIMS, {
    badSubject,
    settings: issuer => ({ api_server: issuer, token_file: 'token', token_review: true }),
    revoked: { 'kubernetes.io': { ...POD, pod: { ...POD.pod, uid: 'gone' } } },
    prepare: answerReviews,
    readFile: async () => 'a token of the broker\n',
  }),
)

describe('a token', () => {
  let stage: TypedStage
  beforeAll(async () => {
    stage = await openTypedStage(kubernetes, CLAIMS)
  })
  afterAll(() => stage.close())

  test('proves namespace, service account, pod and node, by name and by uid', async () => {
    expect(await stage.attest()).toMatchObject({
      ok: true,
      proof: {
        subject: CLAIMS.sub,
        claims: {
          ...{ namespace: 'release', node: 'node-3', node_uid: POD.node.uid },
          ...{ service_account: 'coder', service_account_uid: POD.serviceaccount.uid },
          ...{ pod: 'coder-7f9c', pod_uid: POD.pod.uid },
        },
        replay: { singleUse: false },
      },
    })
  })

  test('proves as much before jti came to clusters', async () => {
    expect(await stage.attest({ jti: undefined })).toMatchObject({ ok: true })
  })

  // H1
  test.each([
    ['that is bound to no pod', { 'kubernetes.io': { ...POD, pod: undefined } }, 'claim_missing'],
    ['that was extended to a year', { exp: NOON / 1000 + 365 * 86_400 }, 'lifetime_too_long'],
    ['of another account than the claims', badSubject, 'subject_not_acceptable'],
    ['of a user', { sub: 'admin' }, 'subject_not_acceptable'],
    ['with a pod that is no object', { 'kubernetes.io': { ...POD, pod: 'coder' } }, 'claim_missing'],
    ['for the API server itself', { aud: ['https://kubernetes.default.svc'] }, 'audience_wrong'],
    ['of a legacy secret', { 'kubernetes.io': undefined }, 'claim_missing'],
  ])('%s is refused', async (_what, change: Record<string, unknown>, rejection) => {
    expect(await stage.attest(change)).toMatchObject({ rejection })
  })
})

test('the issuer of legacy tokens cannot be configured', () => {
  const settings = { issuer: 'kubernetes/serviceaccount', audience: AUDIENCE }
  expect(kubernetes.settings.safeParse(settings).success).toBe(false)
})

describe('a cluster with an authority of its own', () => {
  const forger = createForger({ algorithm: 'ES256', kid: 'cluster' })
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster(forger.jwks())
  })
  afterAll(() => cluster.close())

  const token = (overrides: object = {}) => {
    const iat = NOON / 1000
    const times = { iat, nbf: iat, exp: iat + 3607 }
    return forger.token({
      iss: 'https://kubernetes.default.svc',
      aud: [AUDIENCE],
      ...times,
      ...CLAIMS,
      ...overrides,
    })
  }
  const attestor = (settings: object) =>
    open(
      kubernetes,
      { issuer: 'https://kubernetes.default.svc', audience: AUDIENCE, ...settings },
      { now: () => NOON, fetch: cluster.fetch, readFile: async path => cluster.files[path] ?? '' },
    )
  const whole = () => ({
    ...{ api_server: cluster.url, ca_file: 'ca.crt', token_file: 'token', token_review: true },
  })

  test('is reached over TLS by that authority, with the broker’s own token, and asked about each token', async () => {
    expect(await attestor(whole()).attest(jwt(token()))).toMatchObject({ ok: true })
    expect(cluster.seen).toEqual([
      { path: '/openid/v1/jwks', authorization: 'Bearer a token of the broker' },
      { path: REVIEWS, authorization: 'Bearer a token of the broker' },
    ])
  })

  test.each([
    ['says no', { status: { authenticated: false } }, 'revoked'],
    ['says nothing', {}, 'revoked'],
    ['did not check the audience', { status: { authenticated: true } }, 'audience_wrong'],
    [
      'knows it as somebody else’s',
      { status: { authenticated: true, audiences: [AUDIENCE], user: { username: 'admin' } } },
      'subject_not_acceptable',
    ],
  ])('whose server %s refuses it', async (_what, answer, rejection) => {
    cluster.answerReviews(201, answer)
    expect(await attestor(whole()).attest(jwt(token()))).toMatchObject({ rejection })
    cluster.answerReviews(undefined)
  })

  test.each([401, 403, 500, 429])('whose server answers %d is an outage', async status => {
    cluster.answerReviews(status, { kind: 'Status' })
    await expect(attestor(whole()).attest(jwt(token()))).rejects.toThrow(/TokenReview/)
    cluster.answerReviews(undefined)
  })

  test('whose authority is not the configured one is an outage', async () => {
    const settings = { api_server: cluster.url, token_file: 'token' }
    await expect(attestor(settings).attest(jwt(token()))).rejects.toThrow(/key set/)
  })

  test('that the broker cannot reach is trusted by a key set in a file', async () => {
    cluster.files['keys.json'] = JSON.stringify(forger.jwks())
    expect(await attestor({ key_set_file: 'keys.json' }).attest(jwt(token()))).toMatchObject({ ok: true })
  })
})
