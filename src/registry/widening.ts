/** What a change lets an agent do that it could not, and what it takes away; in words, for people. Pure. */
import type { Issuer } from '../../issuers/issuer.ts'
import type { AgentDocument, AttestRule } from '../policy/agent.ts'
import type { Resource } from './resource.ts'

export type Effects = { widens: string[]; narrows: string[] }
type Covers = ReadonlyMap<string, Pick<Issuer, 'covers'>>

/**
 * What cannot be compared is taken for wider.
 * @param issuers by which asks are held against each other
 */
export function effectsOf(
  before: Resource | undefined,
  after: Resource | undefined,
  issuers: Covers,
): Effects {
  if (before?.kind === 'policy' || after?.kind === 'policy') return policyEffects(before, after)
  if (before === undefined) return { widens: [`${words(after)} is new`], narrows: [] }
  if (after === undefined) return { widens: [], narrows: [`${words(before)} is removed`] }
  if (after.kind !== 'agent') return { widens: [NOT_COMPARED], narrows: [] }
  return agentEffects(before.document as AgentDocument, after.document as AgentDocument, issuers)
}

const NOT_COMPARED = 'what it is now cannot be held against what it was: taken for wider'

const words = (resource: Resource | undefined) =>
  resource === undefined ? '' : `the ${resource.kind.replace('_', ' ')} ${resource.name}`

/** A team's only forbids: a new one takes away, and one that is gone gives back. The operator's may do either. */
function policyEffects(before: Resource | undefined, after: Resource | undefined): Effects {
  if (before !== undefined && after !== undefined) return { widens: [NOT_COMPARED], narrows: [] }
  if (after === undefined)
    return { widens: [`${words(before)} is removed, and forbids nothing any more`], narrows: [] }
  const isNew = `${words(after)} is new`
  return after.namespace === null ? { widens: [isNew], narrows: [] } : { widens: [], narrows: [isNew] }
}

/** Member by member; one that nothing here knows how to compare is taken for wider. */
function agentEffects(before: AgentDocument, after: AgentDocument, issuers: Covers): Effects {
  const known = Object.keys(COMPARED)
  const unknown = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter(member => !known.includes(member))
    .filter(member => !isSame(before[member as keyof AgentDocument], after[member as keyof AgentDocument]))
  const parts = [
    ...Object.values(COMPARED).map(compare => compare(before, after, issuers)),
    ...unknown.map(member => ({ widens: [`${member}: ${NOT_COMPARED}`], narrows: [] })),
  ]
  return { widens: parts.flatMap(part => part.widens), narrows: parts.flatMap(part => part.narrows) }
}

type Compare = (before: AgentDocument, after: AgentDocument, issuers: Covers) => Effects

/** In the order in which it is told. */
const COMPARED: Readonly<Record<keyof AgentDocument, Compare>> = {
  // It is what they are held against each other by.
  name: () => NO_EFFECT,
  ceiling: ceilingEffects,
  attest: rulesEffects,
  trust: (before, after) =>
    isSame(before.trust, after.trust)
      ? NO_EFFECT
      : { widens: [`the trust policy that it stands for: ${NOT_COMPARED}`], narrows: [] },
  limits: (before, after) => numbers(before.limits, after.limits),
  may_outlive_minutes: (before, after) =>
    numbers(
      named('may outlive', before.may_outlive_minutes),
      named('may outlive', after.may_outlive_minutes),
      0,
    ),
  expires_at: (before, after) =>
    numbers({ 'expires at': before.expires_at }, { 'expires at': after.expires_at }, NONE, dateOf),
  heartbeat_seconds: (before, after) =>
    numbers(
      { 'heartbeat seconds': before.heartbeat_seconds },
      { 'heartbeat seconds': after.heartbeat_seconds },
    ),
  check_in_minutes: (before, after) =>
    numbers({ 'check in minutes': before.check_in_minutes }, { 'check in minutes': after.check_in_minutes }),
  may_delegate_to: (before, after) =>
    permitted('may delegate to', before.may_delegate_to, after.may_delegate_to),
  may_act_for: (before, after) =>
    permitted('may act for', before.may_act_for?.groups ?? [], after.may_act_for?.groups ?? []),
  risk_tier: tierEffects,
  owner: ownerEffects,
  // Rules may permit by them or forbid by them: taken for wider.
  systems: (before, after) =>
    isSame(before.systems, after.systems)
      ? NO_EFFECT
      : { widens: [`rules read other systems: ${after.systems.join(', ')}`], narrows: [] },
  verify_job_running: runningEffects,
  bound_key_required: keyEffects,
  posture_with_heartbeat: (before, after) =>
    inverse(
      permitted(
        'proves anew with each heartbeat:',
        before.posture_with_heartbeat ?? [],
        after.posture_with_heartbeat ?? [],
      ),
    ),
  build: buildEffects,
  // For people; no rule reads it.
  purpose: () => NO_EFFECT,
}

const NO_EFFECT: Effects = { widens: [], narrows: [] }
const NONE = Number.POSITIVE_INFINITY

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
/** Of what is demanded: more of it is less. */
const inverse = ({ widens, narrows }: Effects): Effects => ({ widens: narrows, narrows: widens })
const named = (what: string, by: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(by).map(([name, value]) => [`${what}, ${name}`, value]))

function ceilingEffects(before: AgentDocument, after: AgentDocument, issuers: Covers): Effects {
  const effects: Effects = { widens: [], narrows: [] }
  for (const name of new Set([...Object.keys(before.ceiling), ...Object.keys(after.ceiling)])) {
    const [old, now] = [before.ceiling[name] ?? [], after.ceiling[name] ?? []]
    const issuer = issuers.get(name)
    const beyond = (asks: readonly unknown[], by: readonly unknown[]) =>
      asks.filter(
        ask => !by.some(one => issuer?.covers(one, ask) ?? JSON.stringify(one) === JSON.stringify(ask)),
      )
    for (const ask of beyond(now, old))
      effects.widens.push(`${name}: more than before: ${JSON.stringify(ask)}`)
    for (const ask of beyond(old, now)) effects.narrows.push(`${name}: no longer: ${JSON.stringify(ask)}`)
  }
  return effects
}

function rulesEffects({ attest: before }: AgentDocument, { attest: after }: AgentDocument): Effects {
  const beyond = (rules: readonly AttestRule[], by: readonly AttestRule[]) =>
    rules.filter(rule => !by.some(other => isWithin(rule, other)))
  return {
    widens: beyond(after, before).map(rule => `matches more: ${JSON.stringify(rule)}`),
    narrows: beyond(before, after).map(rule => `no longer matches: ${JSON.stringify(rule)}`),
  }
}

/** Whether whatever matches `rule` matches `other`. */
function isWithin(rule: AttestRule, other: AttestRule): boolean {
  const within = (values: readonly unknown[] | undefined, allowed: readonly unknown[]) =>
    values?.every(value => allowed.includes(value)) ?? false
  if (rule.attestor !== other.attestor) return false
  if (other.subject !== undefined && !within(rule.subject, other.subject)) return false
  return Object.entries(other.claims).every(([claim, allowed]) => within(rule.claims[claim], allowed))
}

type Figures = { readonly [name: string]: number | undefined }

/** Each where more is wider. @param absent what it is where it is not said: without a bound */
function numbers(
  before: Figures,
  after: Figures,
  absent = NONE,
  shown: (value: number) => string = String,
): Effects {
  const effects: Effects = { widens: [], narrows: [] }
  const word = (value: number) => (value === NONE ? 'no bound' : shown(value))
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [a, b] = [before[name] ?? absent, after[name] ?? absent]
    if (a !== b) effects[b > a ? 'widens' : 'narrows'].push(`${name}: ${word(a)} to ${word(b)}`)
  }
  return effects
}

const dateOf = (at: number) => new Date(at).toISOString()

function permitted(what: string, before: readonly string[], after: readonly string[]): Effects {
  return {
    widens: after.filter(one => !before.includes(one)).map(one => `${what} ${one}`),
    narrows: before.filter(one => !after.includes(one)).map(one => `no longer ${what} ${one}`),
  }
}

function tierEffects({ risk_tier: before }: AgentDocument, { risk_tier: after }: AgentDocument): Effects {
  const tiers = ['low', 'medium', 'high']
  const change = [`risk tier: ${before} to ${after}`]
  const by = tiers.indexOf(after) - tiers.indexOf(before)
  return { widens: by < 0 ? change : [], narrows: by > 0 ? change : [] }
}

function ownerEffects({ owner: before }: AgentDocument, { owner: after }: AgentDocument): Effects {
  return {
    widens: [
      ...(before.business === after.business ? [] : [`another team answers for it: ${after.business}`]),
      ...(before.technical === after.technical ? [] : [`somebody else runs it: ${after.technical}`]),
    ],
    narrows: [],
  }
}

/** One that does not say is as the broker has it for its tier: between those that say. */
function runningEffects(
  { verify_job_running: before }: AgentDocument,
  { verify_job_running: after }: AgentDocument,
): Effects {
  const change = ['whether its job is checked to be running']
  const order = [false, undefined, true]
  const by = order.indexOf(after) - order.indexOf(before)
  return { widens: by < 0 ? change : [], narrows: by > 0 ? change : [] }
}

function keyEffects(
  { bound_key_required: before = false }: AgentDocument,
  { bound_key_required: after = false }: AgentDocument,
): Effects {
  if (before === after) return NO_EFFECT
  return after
    ? { widens: [], narrows: ['its tasks are bound to a key'] }
    : { widens: ['its tasks need no key any more'], narrows: [] }
}

function buildEffects({ build: before }: AgentDocument, { build: after }: AgentDocument): Effects {
  if (before === after) return NO_EFFECT
  if (before === undefined)
    return { widens: [], narrows: ['build: one is declared, and another waits for its owner'] }
  return {
    widens: [after === undefined ? 'build: none is declared any more' : 'build: another is declared'],
    narrows: [],
  }
}
