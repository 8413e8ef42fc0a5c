/** One request in Cedar's JSON: principal, action, resource, context, and the entities that they name. */
import type { CedarValueJson, Context, EntityJson, EntityUid } from '@cedar-policy/cedar-wasm/nodejs'
import type { TouchedResource } from '../../../issuers/issuer.ts'
import type { RiskTier } from '../agent.ts'
import type { ApprovalFacts, ClaimFact, HeldFacts, HeldName, HumanFacts, PolicyRequest } from '../facts.ts'
import { type Reads, readsMember } from './reads.ts'
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

/**
 * Takes out of requests what no policy looks at: those that agree in the rest become the same. An approval and the
 * digest that it must be for stay until they are compared.
 */
export function trimmer(reads: Reads, vocabulary: Vocabulary): (request: PolicyRequest) => PolicyRequest {
  const read = (...members: string[]) => members.some(member => readsMember(reads, member))
  const is = {
    ...{ attestor: read('attestor'), subject: read('subject'), purpose: read('purpose') },
    ...{ ttlSeconds: read('ttlSeconds'), parents: read('parents', 'depth'), targets: read('targets') },
    ...{ permissions: read('permissions'), confidence: read('confidence'), urgency: read('urgency') },
    ...{ now: read('now', 'nowSeconds', 'weekday', 'hour'), digest: read('digest') },
  }
  const typed = new Set(reads.claims ?? Object.keys(vocabulary.claims))
  const others = read('identity')
  const keepsClaim = (name: string) => (Object.hasOwn(vocabulary.claims, name) ? typed.has(name) : others)
  const held = heldTrimmer(reads)
  return request => {
    const { context } = request
    const { confidence, urgency, approval } = context
    const claims = Object.entries(context.claims).filter(([name]) => keepsClaim(name))
    return {
      ...request,
      context: {
        attestor: is.attestor ? context.attestor : '',
        subject: is.subject ? context.subject : '',
        claims: Object.fromEntries(claims),
        purpose: is.purpose ? context.purpose : '',
        ttlSeconds: is.ttlSeconds ? context.ttlSeconds : 0,
        parents: is.parents ? context.parents : [],
        permissions: is.permissions ? context.permissions : [],
        targets: is.targets ? context.targets : [],
        revocability: context.revocability,
        mayLeaveAccess: context.mayLeaveAccess,
        ...(confidence === undefined || !is.confidence ? {} : { confidence }),
        ...(urgency === undefined || !is.urgency ? {} : { urgency }),
        held: held(context.held),
        now: is.now ? context.now : 0,
        digest: approval !== undefined || is.digest ? context.digest : '',
        ...(approval === undefined ? {} : { approval }),
      },
    }
  }
}

/** Counts rise with every mint: where only phases are looked at, they would keep every verdict from being remembered. */
function heldTrimmer({ held }: Reads): (facts: HeldFacts) => HeldFacts {
  const read = (name: HeldName) => held === null || held.includes(name)
  const [lineage, agent, owner] = [read('phases.lineage'), read('phases.agent'), read('phases.owner')]
  const counts = {
    lineage: read('credentials.lineage'),
    agent: read('credentials.agent'),
    owner: read('credentials.owner'),
  }
  return ({ phases, credentials }) => ({
    phases: {
      lineage: lineage ? phases.lineage : [],
      agent: agent ? phases.agent : [],
      owner: owner ? phases.owner : [],
    },
    credentials: {
      lineage: counts.lineage ? credentials.lineage : 0,
      agent: counts.agent ? credentials.agent : 0,
      owner: counts.owner ? credentials.owner : 0,
    },
  })
}
