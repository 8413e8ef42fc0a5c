/**
 * Attests Kubernetes pods by their projected service account tokens (Kubernetes, "Managing Service Accounts", bound
 * service account tokens). Checked offline by the cluster's key set; with `token_review` the API server is asked
 * besides, which alone knows that a pod or service account is gone (TokenReview, authentication.k8s.io/v1).
 *
 * - Only tokens that are bound to a pod: legacy tokens live for ever and are nobody's in particular.
 * - A pod has one token, handed out again until most of its hour is over: it is no single use.
 * - A namespace and a service account are made again under the same name; their uids are not.
 */
import { z } from 'zod'
import {
  AttestationUnavailable,
  type Attestor,
  type AttestorDeps,
  defineAttestor,
  type Evidence,
  type Observe,
  type Proof,
} from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { keySetFile } from './shared/remote-key-set.ts'
import { audience, issuerUrl, keySetUrl, reuse, seconds } from './shared/settings.ts'
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  member,
  parseStrictJsonObject,
} from './shared/strict-json.ts'
import { tell } from './shared/tell.ts'
import { type Claims, type ClaimTable, openTypedIssuer, ruleFacts } from './shared/typed-issuer.ts'

const settings = z
  .strictObject({
    /** The cluster's `--service-account-issuer`: kubectl get --raw /.well-known/openid-configuration */
    issuer: issuerUrl.refine(
      url => url !== 'kubernetes/serviceaccount',
      'is the issuer of legacy tokens, which never expire',
    ),
    /** Of the pod's projected volume; not the API server's own, with which the token would be a key to the cluster. */
    audience,
    /** The API server, where the issuer's own address cannot be reached: keys are read from its /openid/v1/jwks. */
    api_server: keySetUrl.optional(),
    /** PEM: the cluster's authority, such as /var/run/secrets/kubernetes.io/serviceaccount/ca.crt. */
    ca_file: z.string().min(1).optional(),
    /** The broker's own token for the API server; read again each time, since it is renewed in place. */
    token_file: z.string().min(1).optional(),
    /** A key set in a file, for brokers that reach no cluster: kubectl get --raw /openid/v1/jwks */
    key_set_file: z.string().min(1).optional(),
    /** Ask the API server whether the token still counts: the broker's account needs system:auth-delegator. */
    token_review: z.boolean().default(false),
    algorithms: z
      .array(z.enum(['RS256', 'ES256']))
      .min(1)
      .default(['RS256', 'ES256']),
    /** Cap on `exp - iat`. A token that the API server extended to a year is refused whatever is written here. */
    max_lifetime_seconds: seconds(86_400).default(7200),
    max_age_seconds: seconds(86_400).default(7200),
    /** What a second use of a pod's token is worth. */
    reuse,
  })
  .refine(({ key_set_file, api_server }) => key_set_file === undefined || api_server === undefined, {
    path: ['key_set_file'],
    message: 'is one way to the keys, and api_server another: choose one',
  })
  .refine(({ token_review, api_server, token_file }) => !token_review || (api_server && token_file), {
    path: ['token_review'],
    message: 'needs api_server and token_file',
  })

const BOUND = ['kubernetes.io'] as const
const text = { type: 'string', required: true } as const
const CLAIMS: ClaimTable = {
  namespace: { ...text, at: [...BOUND, 'namespace'] },
  service_account: { ...text, at: [...BOUND, 'serviceaccount', 'name'] },
  service_account_uid: { ...text, at: [...BOUND, 'serviceaccount', 'uid'] },
  pod: { ...text, at: [...BOUND, 'pod', 'name'] },
  pod_uid: { ...text, at: [...BOUND, 'pod', 'uid'] },
  node: { type: 'string', at: [...BOUND, 'node', 'name'] },
  node_uid: { type: 'string', at: [...BOUND, 'node', 'uid'] },
}

export const kubernetes = defineAttestor({
  type: 'kubernetes',
  settings,
  rules: ruleFacts(CLAIMS, {
    pinnedBy: {
      claims: ['service_account_uid', 'service_account'],
      subject: {
        form: /^system:serviceaccount:[^:]+:[^:]+$/,
        example: 'system:serviceaccount:NAMESPACE:NAME',
      },
      remedy: 'Find the uid: kubectl get serviceaccount NAME -n NAMESPACE -o jsonpath={.metadata.uid}',
    },
    // Whoever may start a pod names it, and any namespace may have a service account of that name.
    callerChosen: { pod: 'service_account', service_account: 'namespace' },
  }),
  open(chosen, deps) {
    const cluster = openCluster(chosen, deps)
    const offline = openTypedIssuer(
      {
        issuer: chosen.issuer,
        audience: chosen.audience,
        algorithms: chosen.algorithms,
        jwksUri: cluster.jwksUri,
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireTokenId: false,
        singleUse: false,
        reuse: chosen.reuse,
        claims: CLAIMS,
        judge: checkSubject,
      },
      { ...deps, fetch: cluster.fetch },
    )
    if (!chosen.token_review) return offline
    return {
      ...offline,
      attest: (evidence, observe) => reviewed(offline, cluster, chosen.audience, { evidence, observe }),
    }
  },
})

/** `system:serviceaccount:NAMESPACE:NAME`, of the very names that the claims have. */
function checkSubject(claims: Claims, subject: string): Checked<object> {
  if (subject === `system:serviceaccount:${claims.namespace}:${claims.service_account}`) return accept({})
  return refuse('subject_not_acceptable', 'sub is not the service account of the claims')
}

type Settings = z.infer<typeof settings>
type Cluster = {
  jwksUri: string | undefined
  fetch: AttestorDeps['fetch']
  review(token: string): Promise<JsonObject>
}

/** What is reached with the cluster's own authority, and the broker's own token at the API server alone. */
function openCluster(chosen: Settings, deps: AttestorDeps): Cluster {
  const { api_server: server, key_set_file: file } = chosen
  const call: AttestorDeps['fetch'] = async (url, how = {}) => {
    const ca = chosen.ca_file === undefined ? {} : { ca: await deps.readFile(chosen.ca_file) }
    const isServer = server !== undefined && new URL(url).origin === new URL(server).origin
    const token =
      isServer && chosen.token_file !== undefined
        ? (await deps.readFile(chosen.token_file)).trim()
        : undefined
    const headers = { ...how.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    return deps.fetch(url, { ...how, ...ca, headers })
  }
  const base = server?.replace(/\/$/, '')
  const served = { jwksUri: base && `${base}/openid/v1/jwks`, fetch: call }
  return {
    ...(file === undefined ? served : keySetFile(file, deps.readFile)),
    async review(token) {
      const body = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: [chosen.audience] },
      }
      const url = `${base}/apis/authentication.k8s.io/v1/tokenreviews`
      const response = await call(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(body),
      })
      if (response.status !== 201 && response.status !== 200)
        throw new AttestationUnavailable(`the API server answered a TokenReview with ${response.status}`)
      return parseStrictJsonObject(new Uint8Array(await response.arrayBuffer()))
    },
  }
}

const POD_UID = 'authentication.kubernetes.io/pod-uid'

/** @throws AttestationUnavailable where the API server could not be asked. */
async function reviewed(
  offline: Attestor,
  cluster: Cluster,
  ours: string,
  { evidence, observe }: { evidence: Evidence; observe: Observe | undefined },
): ReturnType<Attestor['attest']> {
  const verdict = await offline.attest(evidence, observe)
  if (!verdict.ok || evidence.type !== 'jwt') return verdict
  const answer = await cluster.review(evidence.token).catch((cause: unknown) => {
    if (cause instanceof AttestationUnavailable) throw cause
    throw new AttestationUnavailable('the API server could not be asked', { cause })
  })
  const judged = tell(observe, 'review', judgeReview(answer, ours, verdict.proof))
  return judged.ok ? verdict : judged
}

/** What the API server says is held against what the token said. */
function judgeReview(answer: JsonObject, ours: string, { claims, subject }: Proof): Checked<undefined> {
  const status = object(member(answer, 'status'))
  if (member(status, 'authenticated') !== true)
    return refuse('revoked', 'the API server no longer authenticates it')
  const audiences = member(status, 'audiences')
  if (!Array.isArray(audiences) || !audiences.includes(ours))
    return refuse('audience_wrong', 'the API server did not check the audience')
  const user = object(member(status, 'user'))
  const podUid = member(object(member(user, 'extra')), POD_UID)
  const isSame =
    member(user, 'username') === subject &&
    member(user, 'uid') === claims.service_account_uid &&
    (podUid === undefined || (Array.isArray(podUid) && podUid.includes(String(claims.pod_uid))))
  return isSame
    ? accept(undefined)
    : refuse('subject_not_acceptable', 'the API server says that it is somebody else’s')
}

function object(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}
