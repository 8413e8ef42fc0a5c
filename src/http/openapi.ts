import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { agentsQuery, certifyBody, standingBody } from './agent-schemas.ts'
import { APPROVAL_ROUTES } from './approval-openapi.ts'
import { checkEvidenceBody } from './attestor-schemas.ts'
import { foundBody, leakBody, leaksQuery } from './leak-schemas.ts'
import {
  agreeBody,
  challengeBody,
  changesQuery,
  denyBody,
  endSessionBody,
  sessionBody,
  sessionsQuery,
} from './operator-schemas.ts'
import { applyBody, planBody, versionsQuery } from './registry-schemas.ts'
import { recogniseBody, recognisedAnswer, reviewAnswer, reviewQuery, trailAnswer } from './review-schemas.ts'
import {
  auditQuery,
  budgetsQuery,
  completeBody,
  credentialBody,
  deliveriesQuery,
  drillBody,
  drillsQuery,
  extendBody,
  heartbeatBody,
  leasesQuery,
  openTaskBody,
  operatorTokenBody,
  revocationBody,
  revocationsQuery,
  shadowQuery,
  simulateBody,
  tasksQuery,
  ticketBody,
  unblockBody,
} from './schemas.ts'

const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    decision: z.string().optional(),
    instance: z.string().optional(),
  })
  .openapi('Problem')

type Described = {
  method: 'get' | 'post' | 'delete'
  path: string
  summary: string
  auth?: 'taskToken' | 'operatorToken'
  body?: z.ZodType
  query?: z.ZodObject
  /** What is answered, where that is described. */
  answer?: z.ZodType
  ok: 200 | 201 | 202
}

const ROUTES: readonly Described[] = [
  { method: 'post', path: '/v1/tasks', summary: 'Open a task with evidence', body: openTaskBody, ok: 201 },
  { method: 'get', path: '/v1/sign-in', summary: 'Where humans sign in for their laptops', ok: 200 },
  {
    method: 'get',
    path: '/v1/tasks/{id}',
    summary: 'Read a task and its credentials, without secrets',
    auth: 'taskToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/tasks/{id}/credentials',
    summary: 'Mint a credential for a granted or a new ask',
    auth: 'taskToken',
    body: credentialBody,
    ok: 201,
  },
  {
    method: 'delete',
    path: '/v1/tasks/{id}/credentials/{lease}',
    summary: 'Give one credential back: it is revoked, and the task goes on',
    auth: 'taskToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/tasks/{id}/heartbeat',
    summary: 'Say that the work goes on; with fresh statements where the agent says so, else without a body',
    auth: 'taskToken',
    body: heartbeatBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/tasks/{id}/extend',
    summary: 'Ask for more time, with a reason',
    auth: 'taskToken',
    body: extendBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/tasks/{id}/complete',
    summary: 'End the task; everything it holds is revoked',
    auth: 'taskToken',
    body: completeBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/tasks/{id}/tickets',
    summary: 'Open a one-use ticket for a child task',
    auth: 'taskToken',
    body: ticketBody,
    ok: 201,
  },
  {
    method: 'get',
    path: '/v1/tasks/{id}/receipt',
    summary: 'The signed receipt of a settled task; 409 until there is one',
    auth: 'taskToken',
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/deliveries',
    summary: 'Messages to webhooks, newest first',
    auth: 'operatorToken',
    query: deliveriesQuery,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/drills',
    summary: 'Mint a canary, revoke it and prove it dead; the answer comes before the outcome',
    auth: 'operatorToken',
    body: drillBody,
    ok: 202,
  },
  {
    method: 'get',
    path: '/v1/drills',
    summary: 'Drills and what they showed, newest first',
    auth: 'operatorToken',
    query: drillsQuery,
    ok: 200,
  },
  { method: 'get', path: '/v1/drills/{id}', summary: 'One drill', auth: 'operatorToken', ok: 200 },
  {
    method: 'get',
    path: '/v1/agents',
    summary: 'Registered agents',
    auth: 'operatorToken',
    query: agentsQuery,
    ok: 200,
  },
  { method: 'get', path: '/v1/tasks', summary: 'Tasks', auth: 'operatorToken', query: tasksQuery, ok: 200 },
  {
    method: 'get',
    path: '/v1/leases',
    summary: 'Leases, newest first',
    auth: 'operatorToken',
    query: leasesQuery,
    ok: 200,
  },
  { method: 'get', path: '/v1/leases/{id}', summary: 'One lease', auth: 'operatorToken', ok: 200 },
  {
    method: 'get',
    path: '/v1/decisions/{id}',
    summary: 'Why something was allowed or denied',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/policies/schema',
    summary: 'What policies may speak of, as a Cedar schema (text)',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/policies/simulate',
    summary: 'What evidence or a task would get, without opening anything',
    auth: 'operatorToken',
    body: simulateBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/attestors/check',
    summary: 'What is right and wrong with evidence, without using it up',
    auth: 'operatorToken',
    body: checkEvidenceBody,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/policies/shadow',
    summary: 'Where the candidate policies would have decided otherwise',
    auth: 'operatorToken',
    query: shadowQuery,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/budgets',
    summary: 'How much of each budget is used up',
    auth: 'operatorToken',
    query: budgetsQuery,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/audit',
    summary: 'What happened, in order',
    auth: 'operatorToken',
    query: auditQuery,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/agents/{name}',
    summary: 'How an agent stands',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/agents/{name}/offboarding',
    summary: 'What became of an agent that leaves',
    auth: 'operatorToken',
    ok: 200,
  },
  ...(['suspend', 'quarantine', 'activate', 'offboard'] as const).map(
    (verb): Described => ({
      method: 'post',
      path: `/v1/agents/{name}/${verb}`,
      summary: `Change how an agent stands: ${verb}`,
      auth: 'operatorToken',
      body: standingBody,
      ok: 200,
    }),
  ),
  {
    method: 'post',
    path: '/v1/agents/{name}/certify',
    summary: 'Vouch for an agent, and its build, until a date',
    auth: 'operatorToken',
    body: certifyBody,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/tasks/{id}/credentials/hashes',
    summary: 'By what the credentials of the task are known again in a text',
    auth: 'taskToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/leaks/found',
    summary: 'End a secret that was found; the answer is the same for an unknown one',
    body: foundBody,
    ok: 202,
  },
  {
    method: 'post',
    path: '/v1/leaks',
    summary: 'Say whose a leaked secret is, end what it belongs to, and quarantine by rule',
    auth: 'operatorToken',
    body: leakBody,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/leaks',
    summary: 'Secrets that were reported as leaked, newest first',
    auth: 'operatorToken',
    query: leaksQuery,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/revocations',
    summary: 'End tasks, or take credentials back, and refuse new ones meanwhile',
    auth: 'operatorToken',
    body: revocationBody,
    ok: 202,
  },
  {
    method: 'get',
    path: '/v1/revocations',
    summary: 'Revocations, newest first',
    auth: 'operatorToken',
    query: revocationsQuery,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/revocations/{id}',
    summary: 'How far a revocation is',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/revocations/{id}/unblock',
    summary: 'Allow again what a revocation refuses',
    auth: 'operatorToken',
    body: unblockBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/operator-tokens',
    summary: 'Exchange the operator token for a new one; the earlier ends',
    auth: 'operatorToken',
    body: operatorTokenBody,
    ok: 201,
  },
]

/** How humans sign in, and what takes two of them. */
const PEOPLE_ROUTES: readonly Described[] = [
  { method: 'get', path: '/v1/operator-sessions/provider', summary: 'Where operators sign in', ok: 200 },
  {
    method: 'post',
    path: '/v1/operator-sessions/challenge',
    summary: 'What the nonce of a sign-in is made of',
    body: challengeBody,
    ok: 201,
  },
  {
    method: 'post',
    path: '/v1/operator-sessions',
    summary: 'A session for an ID token; it neither approves nor widens',
    body: sessionBody,
    ok: 201,
  },
  {
    method: 'get',
    path: '/v1/operator-sessions',
    summary: 'Sessions of humans, newest first',
    auth: 'operatorToken',
    query: sessionsQuery,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/operator-sessions/current',
    summary: 'Who the bearer is',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/operator-sessions/{id}/end',
    summary: "End a session: one's own (current), or anybody's",
    auth: 'operatorToken',
    body: endSessionBody,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/changes',
    summary: 'Changes that were proposed, newest first; of what one sees',
    auth: 'operatorToken',
    query: changesQuery,
    ok: 200,
  },
  { method: 'get', path: '/v1/changes/{id}', summary: 'One change, whole', auth: 'operatorToken', ok: 200 },
  {
    method: 'post',
    path: '/v1/changes/{id}/approve',
    summary: 'Agree to a change, freshly signed in for its digest: it is applied',
    auth: 'operatorToken',
    body: agreeBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/changes/{id}/deny',
    summary: 'Refuse a change',
    auth: 'operatorToken',
    body: denyBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/changes/{id}/withdraw',
    summary: 'Take back a change that one has proposed',
    auth: 'operatorToken',
    body: denyBody,
    ok: 200,
  },
]

const REGISTRY_ROUTES: readonly Described[] = [
  {
    method: 'post',
    path: '/v1/registry/plan',
    summary: 'What registering a set would change, widen and narrow',
    auth: 'operatorToken',
    body: planBody,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/registry/apply',
    summary: 'Register a set whole, freshly signed in for the digest of its plan',
    auth: 'operatorToken',
    body: applyBody,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/registry/{kind}',
    summary: 'What is registered of a kind, as far as it is yours to see',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/registry/{kind}/{name}',
    summary: 'One resource; its secrets are in no answer',
    auth: 'operatorToken',
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/registry/{kind}/{name}/versions',
    summary: 'Its versions, newest first, with who and why',
    auth: 'operatorToken',
    query: versionsQuery,
    ok: 200,
  },
]

const REVIEW_ROUTES: readonly Described[] = [
  {
    method: 'get',
    path: '/v1/tasks/{id}/trail',
    summary: 'Everything the ledger knows of one task: who asked, why, what was minted, what ended it',
    auth: 'operatorToken',
    answer: trailAnswer,
    ok: 200,
  },
  {
    method: 'get',
    path: '/v1/review',
    summary: 'What agents had and used in a period, and what would have been enough',
    auth: 'operatorToken',
    query: reviewQuery,
    answer: reviewAnswer,
    ok: 200,
  },
  {
    method: 'post',
    path: '/v1/credentials/recognise',
    summary: "Which credentials of a provider's log this broker handed out",
    auth: 'operatorToken',
    body: recogniseBody,
    answer: recognisedAnswer,
    ok: 200,
  },
]

/** The OpenAPI 3.1 description of `/v1`, made from the schemas that parse its requests. */
export function openapiDocument(publicUrl: string, version: string) {
  const app = new OpenAPIHono()
  for (const scheme of ['taskToken', 'operatorToken'] as const)
    app.openAPIRegistry.registerComponent('securitySchemes', scheme, { type: 'http', scheme: 'bearer' })
  for (const route of [...ROUTES, ...PEOPLE_ROUTES, ...REVIEW_ROUTES, ...REGISTRY_ROUTES, ...APPROVAL_ROUTES])
    app.openAPIRegistry.registerPath(describe(route))
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Mayfly', version, description: 'Credentials that live as long as the task.' },
    servers: [{ url: publicUrl }],
  })
}

function describe({ method, path, summary, auth, body, query, answer, ok }: Described) {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(match => match[1]!)
  const params =
    names.length === 0 ? undefined : z.object(Object.fromEntries(names.map(name => [name, z.string()])))
  return createRoute({
    method,
    path,
    summary,
    ...(auth === undefined ? {} : { security: [{ [auth]: [] }] }),
    request: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { query }),
      ...(body === undefined
        ? {}
        : { body: { required: true, content: { 'application/json': { schema: body } } } }),
    },
    responses: {
      [ok]: {
        description: summary,
        ...(answer === undefined ? {} : { content: { 'application/json': { schema: answer } } }),
      },
      default: { description: 'RFC 9457', content: { 'application/problem+json': { schema: problem } } },
    },
  })
}
