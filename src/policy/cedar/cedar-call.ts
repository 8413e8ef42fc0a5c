/** One request in Cedar's JSON: principal, action, resource, context, and the entities that they name. */
import type { CedarValueJson, Context, EntityJson, EntityUid } from '@cedar-policy/cedar-wasm/nodejs'
import type { TouchedResource } from '../../../issuers/issuer.ts'
import type { RiskTier } from '../agent.ts'
import type { ApprovalFacts, ClaimFact, HumanFacts, PolicyRequest } from '../facts.ts'
import type { Reads } from './reads.ts'
import { actionOf } from './schema.ts'
import { isUsableClaim, type Vocabulary } from './vocabulary.ts'

export type CedarCall = {
  principal: EntityUid
  action: EntityUid
  resource: EntityUid
  context: Context
  entities: EntityJson[]
}

export type CallOptions = {
  as: 'agent' | 'human'
  resource: TouchedResource
  approval: ApprovalFacts | undefined
}

const uid = (type: string, id: string) => ({ type: `Mayfly::${type}`, id })

/** @throws TypeError for an `as: 'human'` without one */
export function cedarCall(
  request: PolicyRequest,
  vocabulary: Vocabulary,
  { as, resource, approval }: CallOptions,
): CedarCall {
  const { agent, human, issuer, phase } = request
  const touched = touchedUid(vocabulary, issuer, resource.type, resource.id)
  const identity = uid('Identity', 'this')
  const humans = human === undefined ? [] : [humanEntity(human)]
  const principal = as === 'agent' ? uid('Agent', agent.name) : humans[0]?.uid
  if (principal === undefined) throw new TypeError('no human to judge')
  const { claims, tags } = sortClaims(request.context.claims, vocabulary)
  return {
    principal,
    action: uid('Action', actionOf(issuer, phase)),
    resource: touched,
    context: contextOf(request, { claims, identity, human: humans[0]?.uid, approval }),
    entities: [
      agentEntity(agent),
      ...humans,
      {
        uid: touched,
        attrs: { type: resource.type, id: resource.id, name: resource.name },
        parents: resource.parents.map(one => parentUid(vocabulary, issuer, resource.type, one)),
      },
      { uid: identity, attrs: {}, parents: [], tags },
    ],
  }
}

const TIERS: Readonly<Record<RiskTier, number>> = { low: 1, medium: 2, high: 3 }

function agentEntity(agent: PolicyRequest['agent']): EntityJson & { uid: EntityUid } {
  const { name, team, technicalOwner, riskTier, status, systems } = agent
  return {
    uid: uid('Agent', name),
    attrs: { name, team, technicalOwner, riskTier, tier: TIERS[riskTier], status, systems: [...systems] },
    parents: [uid('Team', team)],
  }
}

function humanEntity({ issuer, subject, groups }: HumanFacts) {
  return {
    uid: uid('Human', `${issuer}#${subject}`),
    attrs: { issuer, subject },
    parents: groups.map(group => uid('Group', group)),
  }
}

function touchedUid(vocabulary: Vocabulary, issuer: string, type: string, id: string): EntityUid {
  const declared = Object.hasOwn(vocabulary.issuers, issuer) ? vocabulary.issuers[issuer]! : {}
  return Object.hasOwn(declared, type) ? uid(type, id) : uid('Resource', `${type}/${id}`)
}

function parentUid(
  vocabulary: Vocabulary,
  issuer: string,
  type: string,
  parent: { type: string; id: string },
): EntityUid {
  const declared = Object.hasOwn(vocabulary.issuers, issuer) ? vocabulary.issuers[issuer]! : {}
  const within = Object.hasOwn(declared, type) ? declared[type]! : []
  return within.includes(parent.type)
    ? uid(parent.type, parent.id)
    : uid('Resource', `${parent.type}/${parent.id}`)
}

/** Declared claims are members of the context, checked against their type by Cedar; all others are text. */
function sortClaims(facts: PolicyRequest['context']['claims'], { claims: types }: Vocabulary) {
  const claims: [string, CedarValueJson][] = []
  const tags: [string, string][] = []
  for (const [name, value] of Object.entries(facts)) {
    if (Object.hasOwn(types, name)) claims.push([name, cedarValue(value)])
    else if (isUsableClaim(name)) tags.push([name, typeof value === 'string' ? value : JSON.stringify(value)])
  }
  return { claims: Object.fromEntries(claims), tags: Object.fromEntries(tags) }
}

const cedarValue = (value: ClaimFact): CedarValueJson => (typeof value === 'object' ? [...value] : value)

function contextOf(
  { agent, issuer, phase, context }: PolicyRequest,
  {
    claims,
    identity,
    human,
    approval,
  }: {
    claims: Record<string, CedarValueJson>
    identity: EntityUid
    human: EntityUid | undefined
    approval: ApprovalFacts | undefined
  },
): Context {
  const { confidence, urgency, held, now } = context
  const time = new Date(now)
  return {
    agent: { __entity: uid('Agent', agent.name) },
    ...(human === undefined ? {} : { human: { __entity: human as { type: string; id: string } } }),
    ...{ issuer, phase, claims, identity: { __entity: identity as { type: string; id: string } } },
    attestor: context.attestor,
    subject: context.subject,
    purpose: context.purpose,
    ttlSeconds: context.ttlSeconds,
    parents: [...context.parents],
    depth: context.parents.length,
    permissions: [...context.permissions],
    targets: [...context.targets],
    revocability: context.revocability,
    mayLeaveAccess: context.mayLeaveAccess,
    ...(confidence === undefined ? {} : { confidence }),
    ...(urgency === undefined ? {} : { urgency }),
    held: {
      phases: {
        lineage: [...held.phases.lineage],
        agent: [...held.phases.agent],
        owner: [...held.phases.owner],
      },
      credentials: { ...held.credentials },
    },
    now: { __extn: { fn: 'datetime', arg: time.toISOString() } },
    nowSeconds: Math.floor(now / 1_000),
    weekday: ((time.getUTCDay() + 6) % 7) + 1,
    hour: time.getUTCHours(),
    digest: context.digest,
    ...(approval === undefined
      ? {}
      : { approval: { digest: approval.digest, count: approval.count, groups: [...approval.groups] } }),
  }
}

/** Counts rise with every mint: where only phases are looked at, they would keep every verdict from being remembered. */
function heldThatIsRead(
  { phases, credentials }: PolicyRequest['context']['held'],
  names: Reads['held'],
): PolicyRequest['context']['held'] {
  const read = (name: string) => names === null || names.includes(name)
  const phasesOf = (scope: keyof typeof phases) => (read(`phases.${scope}`) ? phases[scope] : [])
  const countOf = (scope: keyof typeof credentials) => (read(`credentials.${scope}`) ? credentials[scope] : 0)
  return {
    phases: { lineage: phasesOf('lineage'), agent: phasesOf('agent'), owner: phasesOf('owner') },
    credentials: { lineage: countOf('lineage'), agent: countOf('agent'), owner: countOf('owner') },
  }
}

/**
 * The request without what no policy looks at: requests that agree in the rest become the same. An approval and
 * the digest that it must be for stay until they are compared.
 */
export function trimmed(request: PolicyRequest, reads: Reads, vocabulary: Vocabulary): PolicyRequest {
  const { context } = request
  const read = (...members: string[]) =>
    reads.context === null || members.some(member => reads.context!.includes(member))
  const keepsClaim = (name: string) =>
    Object.hasOwn(vocabulary.claims, name)
      ? reads.claims === null || reads.claims.includes(name)
      : read('identity')
  const claims = Object.fromEntries(Object.entries(context.claims).filter(([name]) => keepsClaim(name)))
  const { confidence, urgency, approval } = context
  return {
    ...request,
    context: {
      attestor: read('attestor') ? context.attestor : '',
      subject: read('subject') ? context.subject : '',
      claims,
      purpose: read('purpose') ? context.purpose : '',
      ttlSeconds: read('ttlSeconds') ? context.ttlSeconds : 0,
      parents: read('parents', 'depth') ? context.parents : [],
      permissions: read('permissions') ? context.permissions : [],
      targets: read('targets') ? context.targets : [],
      revocability: context.revocability,
      mayLeaveAccess: context.mayLeaveAccess,
      ...(confidence === undefined || !read('confidence') ? {} : { confidence }),
      ...(urgency === undefined || !read('urgency') ? {} : { urgency }),
      held: heldThatIsRead(context.held, reads.held),
      now: read('now', 'nowSeconds', 'weekday', 'hour') ? context.now : 0,
      digest: approval !== undefined || read('digest') ? context.digest : '',
      ...(approval === undefined ? {} : { approval }),
    },
  }
}
