/**
 * Cases for policies, as a team writes them down for its CI: the facts of one ask, and what must come of it.
 * Everything that a case does not say has a harmless default.
 */
import { z } from 'zod'
import type { Issuer } from '../../issuers/issuer.ts'
import { canonicalDigest } from '../canonical.ts'
import { LIMITS } from '../limits.ts'
import type { Agent } from '../policy/agent.ts'
import {
  type AgentStatus,
  agentFacts,
  type Declared,
  type HumanFacts,
  type PolicyRequest,
} from '../policy/facts.ts'
import { type Parsed, parseShape } from './parse-shape.ts'
import { oneOf, type Problem } from './problem.ts'
import type { KeyPath, YamlFile } from './yaml-file.ts'

const PHASE = z.enum(['read', 'propose', 'execute', 'deploy', 'transact'])
const text = z.string().max(LIMITS.reasonChars)
const texts = z.array(text).max(LIMITS.policyCaseItems)
const count = z.int().min(0)

const resourceShape = z.strictObject({
  type: text,
  id: z.union([text, z.int()]).transform(String),
  name: text.optional(),
  /** `{ Owner: acme }`: what it lies in, by type. */
  in: z.record(text, text).default({}),
})

const agentShape = z.strictObject({
  name: text.optional(),
  team: text.optional(),
  technical_owner: text.optional(),
  risk_tier: z.enum(['low', 'medium', 'high']).optional(),
  status: z.enum(['active', 'suspended', 'quarantined', 'offboarded', 'removed']).optional(),
  systems: texts.optional(),
})

const countsShape = z.strictObject({
  lineage: count.optional(),
  agent: count.optional(),
  owner: count.optional(),
})
const phasesShape = z.strictObject({
  lineage: z.array(PHASE).optional(),
  agent: z.array(PHASE).optional(),
  owner: z.array(PHASE).optional(),
})

const factsShape = {
  /** A registered agent's name, or facts that stand in place of its own. */
  agent: z.union([text, agentShape]).optional(),
  human: z.strictObject({ issuer: text, subject: text, groups: texts.default([]) }).optional(),
  /** An entry of authorization_details, judged by its issuer as a real one; or the four below. */
  ask: z.looseObject({ type: text }).optional(),
  issuer: text.optional(),
  phase: PHASE.optional(),
  resources: z.array(resourceShape).min(1).max(LIMITS.policyCaseItems).optional(),
  permissions: texts.optional(),
  targets: texts.optional(),
  revocability: z.enum(['immediate', 'propagating', 'introspected', 'expiry_only']).optional(),
  may_leave_access: z.boolean().optional(),
  attestor: text.optional(),
  subject: text.optional(),
  claims: z.record(text, z.union([text, z.int(), z.boolean(), texts])).optional(),
  purpose: text.optional(),
  minutes: z.int().min(1).max(LIMITS.taskMinutes).optional(),
  /** Agents above the task, root first. */
  parents: texts.optional(),
  confidence: z.int().min(0).max(100).optional(),
  urgency: z.enum(['low', 'normal', 'high']).optional(),
  held: z.strictObject({ phases: phasesShape.optional(), credentials: countsShape.optional() }).optional(),
  /** When it is asked; RFC 3339. */
  at: z.iso.datetime({ offset: true, error: 'expected a time like 2026-11-22T09:30:00Z' }).optional(),
  approval: z
    .strictObject({
      count: z.int().min(1),
      groups: texts.default([]),
      /** Given for something else than this ask. */
      for_another_ask: z.boolean().default(false),
    })
    .optional(),
}

const OUTCOMES = ['allow', 'deny', 'needs_approval'] as const
const caseShape = z.strictObject({
  name: z.string().min(1).max(LIMITS.labelChars),
  ...factsShape,
  expect: z.enum(OUTCOMES),
  /** Exactly these policies must have determined it. */
  by: texts.optional(),
  /** What must be demanded; each member that is given must be so of one of the demands. */
  needs: z.strictObject({ quorum: z.int().min(1).optional(), groups: texts.optional() }).optional(),
})
const fileShape = z.strictObject({
  defaults: z.strictObject(factsShape).default({}),
  cases: z.array(caseShape).min(1, 'expected at least one case').max(LIMITS.policyCases),
})

type Facts = z.infer<z.ZodObject<typeof factsShape>>

export type PolicyCase = {
  name: string
  file: string
  line: number
  request: PolicyRequest
  declared: Declared
  expect: (typeof OUTCOMES)[number]
  by?: readonly string[]
  needs?: { quorum?: number | undefined; groups?: readonly string[] | undefined }
}

/** What cases may speak of by name. */
export type CaseContext = {
  agents: readonly Agent[]
  issuers: ReadonlyMap<string, Pick<Issuer, 'ask' | 'facts' | 'revocability' | 'revocabilityOf'>>
}

export function parsePolicyCases(file: YamlFile, context: CaseContext): Parsed<PolicyCase[]> {
  const parsed = parseShape(file, fileShape, file.value)
  if (!parsed.ok) return parsed
  const problems: Problem[] = []
  const cases: PolicyCase[] = []
  for (const [index, one] of parsed.value.cases.entries()) {
    const at = ['cases', index]
    const facts = withDefaults(parsed.value.defaults, one)
    const request = requestOf(file, facts, at, context)
    if (!request.ok) {
      problems.push(...request.problems)
      continue
    }
    const { name, expect, by, needs } = one
    const { confidence, urgency } = facts
    cases.push({
      ...{ name, file: file.path, line: file.problem(at, '').line ?? 1, request: request.value, expect },
      declared: {
        ...(confidence === undefined ? {} : { confidence }),
        ...(urgency === undefined ? {} : { urgency }),
      },
      ...(by === undefined ? {} : { by }),
      ...(needs === undefined ? {} : { needs }),
    })
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: cases }
}

/** A case's own facts over the defaults; claims and members of the agent one by one. */
function withDefaults(defaults: Facts, own: Facts): Facts {
  const merged = { ...defaults, ...own }
  const maps = typeof defaults.agent === 'object' && typeof own.agent === 'object'
  return {
    ...merged,
    ...(maps ? { agent: { ...(defaults.agent as object), ...(own.agent as object) } } : {}),
    ...(merged.claims === undefined ? {} : { claims: { ...defaults.claims, ...own.claims } }),
  }
}

const MINUTE_MS = 60_000
const AT = '2026-11-23T10:00:00Z' // a Monday morning
const MINUTES = 15

function requestOf(file: YamlFile, facts: Facts, at: KeyPath, context: CaseContext): Parsed<PolicyRequest> {
  const asked = facts.ask === undefined ? plainAsk(file, facts, at) : realAsk(file, facts, at, context)
  if (!asked.ok) return asked
  const agent = agentOf(facts.agent, context)
  if (agent === undefined)
    return refuse(
      file.problem(
        [...at, 'agent'],
        oneOf(
          'agents',
          context.agents.map(({ name }) => name),
        ),
        'Or write its facts as a map: agent: { name: coder, risk_tier: high }',
      ),
    )
  const { issuer, phase, resources, ask, ...about } = asked.value
  const digest = canonicalDigest({ issuer, ask })
  const { approval, held, attestor = '', subject = '', claims = {}, purpose = 'a test' } = facts
  const { lineage = 0, agent: own = 0, owner = 0 } = held?.credentials ?? {}
  const phases = held?.phases ?? {}
  return {
    ok: true,
    value: {
      ...{ agent, issuer, phase, resources },
      ...(facts.human === undefined ? {} : { human: facts.human satisfies HumanFacts }),
      context: {
        ...{ attestor, subject, claims, purpose, ...about, digest },
        ttlSeconds: (facts.minutes ?? MINUTES) * 60,
        parents: facts.parents ?? [],
        held: {
          phases: { lineage: phases.lineage ?? [], agent: phases.agent ?? [], owner: phases.owner ?? [] },
          credentials: { lineage, agent: own, owner },
        },
        now: Math.floor(Date.parse(facts.at ?? AT) / MINUTE_MS) * MINUTE_MS,
        ...(approval === undefined
          ? {}
          : {
              approval: {
                digest: approval.for_another_ask ? canonicalDigest('another ask') : digest,
                ...{ count: approval.count, groups: approval.groups },
              },
            }),
      },
    },
  }
}

type Asked = Pick<PolicyRequest, 'issuer' | 'phase' | 'resources'> &
  Pick<PolicyRequest['context'], 'permissions' | 'targets' | 'revocability' | 'mayLeaveAccess'> & {
    ask: unknown
  }

function plainAsk(file: YamlFile, facts: Facts, at: KeyPath): Parsed<Asked> {
  const { issuer, phase, resources } = facts
  if (issuer === undefined || phase === undefined || resources === undefined) {
    const missing = ['issuer', 'phase', 'resources'].filter(key => facts[key as keyof Facts] === undefined)
    return refuse(file.problem(at, `missing ${missing.join(', ')}`, 'Say them, or give an ask'))
  }
  const { permissions = [], targets = [], revocability = 'immediate', may_leave_access = false } = facts
  return {
    ok: true,
    value: {
      ...{ issuer, phase, permissions, targets, revocability, mayLeaveAccess: may_leave_access },
      resources: resources.map(({ type, id, name = id, in: within }) => ({
        ...{ type, id, name },
        parents: Object.entries(within).map(([parent, parentId]) => ({ type: parent, id: parentId })),
      })),
      ask: { phase, resources, permissions },
    },
  }
}

/** By the issuer itself, as at an opening; names stay names, since nobody is asked for their ids. */
function realAsk(file: YamlFile, facts: Facts, at: KeyPath, { issuers }: CaseContext): Parsed<Asked> {
  const { type, ...wanted } = facts.ask!
  const doubled = (['issuer', 'phase', 'resources', 'permissions', 'targets'] as const).find(
    key => facts[key] !== undefined,
  )
  if (doubled !== undefined)
    return refuse(file.problem([...at, doubled], 'expected either ask or its facts', `Remove ${doubled}`))
  const issuer = issuers.get(type)
  if (issuer === undefined)
    return refuse(file.problem([...at, 'ask', 'type'], oneOf('issuers', [...issuers.keys()])))
  const parsed = parseShape(file, issuer.ask, wanted, [...at, 'ask'])
  if (!parsed.ok) return parsed
  const { phase, resources, permissions, targets = [], mayLeaveAccess } = issuer.facts(parsed.value)
  return {
    ok: true,
    value: {
      ...{ issuer: type, phase, resources, permissions, targets, ask: parsed.value },
      revocability: facts.revocability ?? issuer.revocabilityOf?.(parsed.value) ?? issuer.revocability,
      mayLeaveAccess: facts.may_leave_access ?? mayLeaveAccess,
    },
  }
}

const NOBODY: PolicyRequest['agent'] = {
  ...{ name: 'agent', team: 'team', technicalOwner: 'owner' },
  ...{ riskTier: 'low', status: 'active', systems: [] },
}

/** Undefined where it is a name that nobody has. */
function agentOf(given: Facts['agent'], { agents }: CaseContext): PolicyRequest['agent'] | undefined {
  const find = (name: string | undefined) => {
    const agent = agents.find(one => one.name === name)
    return agent === undefined ? undefined : agentFacts(agent, 'active')
  }
  if (typeof given === 'string') return find(given)
  const { name, team, technical_owner, risk_tier, status, systems } = given ?? {}
  const known = find(name) ?? NOBODY
  return {
    name: name ?? known.name,
    team: team ?? known.team,
    technicalOwner: technical_owner ?? known.technicalOwner,
    riskTier: risk_tier ?? known.riskTier,
    status: (status ?? known.status) as AgentStatus,
    systems: systems ?? known.systems,
  }
}

function refuse(problem: Problem): { ok: false; problems: Problem[] } {
  return { ok: false, problems: [problem] }
}
