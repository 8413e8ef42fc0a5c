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
  if (before === undefined) return { widens: [`${words(after)} is new`], narrows: [] }
  if (after === undefined) return { widens: [], narrows: [`${words(before)} is removed`] }
  if (after.kind !== 'agent')
    return { widens: ['what it is now cannot be held against what it was: taken for wider'], narrows: [] }
  return agentEffects(before.document as AgentDocument, after.document as AgentDocument, issuers)
}

const words = (resource: Resource | undefined) =>
  resource === undefined ? '' : `the ${resource.kind.replace('_', ' ')} ${resource.name}`

function agentEffects(before: AgentDocument, after: AgentDocument, issuers: Covers): Effects {
  const parts = [
    ceilingEffects(before, after, issuers),
    rulesEffects(before.attest, after.attest),
    numbers(before, after),
    lists('may delegate to', before.may_delegate_to, after.may_delegate_to),
    lists('may act for', before.may_act_for?.groups ?? [], after.may_act_for?.groups ?? []),
    demands(before, after),
  ]
  return { widens: parts.flatMap(part => part.widens), narrows: parts.flatMap(part => part.narrows) }
}

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

function rulesEffects(before: readonly AttestRule[], after: readonly AttestRule[]): Effects {
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

/** Each where more is wider; one that is absent is without a bound. */
function numbers(before: AgentDocument, after: AgentDocument): Effects {
  const all = (agent: AgentDocument): Record<string, number | undefined> => ({
    ...agent.limits,
    ...Object.fromEntries(
      Object.entries(agent.may_outlive_minutes).map(([name, minutes]) => [`may outlive, ${name}`, minutes]),
    ),
    'expires at': agent.expires_at,
    'heartbeat seconds': agent.heartbeat_seconds ?? Number.POSITIVE_INFINITY,
    'check in minutes': agent.check_in_minutes ?? Number.POSITIVE_INFINITY,
  })
  const effects: Effects = { widens: [], narrows: [] }
  const [old, now] = [all(before), all(after)]
  for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const none = name.startsWith('may outlive') ? 0 : Number.POSITIVE_INFINITY
    const [a, b] = [old[name] ?? none, now[name] ?? none]
    if (a !== b) effects[b > a ? 'widens' : 'narrows'].push(`${name}: ${shown(name, a)} to ${shown(name, b)}`)
  }
  return effects
}

const shown = (name: string, value: number) => {
  if (!Number.isFinite(value)) return 'no bound'
  return name === 'expires at' ? new Date(value).toISOString() : String(value)
}

function lists(what: string, before: readonly string[], after: readonly string[]): Effects {
  return {
    widens: after.filter(one => !before.includes(one)).map(one => `${what} ${one}`),
    narrows: before.filter(one => !after.includes(one)).map(one => `no longer ${what} ${one}`),
  }
}

/** What rules and humans are asked by. */
function demands(before: AgentDocument, after: AgentDocument): Effects {
  const effects: Effects = { widens: [], narrows: [] }
  const tiers = ['low', 'medium', 'high']
  const [a, b] = [tiers.indexOf(before.risk_tier), tiers.indexOf(after.risk_tier)]
  if (a !== b)
    effects[b < a ? 'widens' : 'narrows'].push(`risk tier: ${before.risk_tier} to ${after.risk_tier}`)
  if (before.owner.business !== after.owner.business)
    effects.widens.push(`another team answers for it: ${after.owner.business}`)
  if (before.owner.technical !== after.owner.technical)
    effects.widens.push(`somebody else runs it: ${after.owner.technical}`)
  // Rules may permit by them or forbid by them: taken for wider.
  if (JSON.stringify(before.systems) !== JSON.stringify(after.systems))
    effects.widens.push(`rules read other systems: ${after.systems.join(', ')}`)
  const [checked, checks] = [before.verify_job_running === true, after.verify_job_running === true]
  if (checked !== checks)
    effects[checks ? 'narrows' : 'widens'].push('whether its job is checked to be running')
  if (after.build === undefined && before.build !== undefined)
    effects.widens.push('build: none is declared any more')
  else if (before.build === undefined && after.build !== undefined)
    effects.narrows.push('build: one is declared, and another waits for its owner')
  else if (before.build !== after.build) effects.widens.push('build: another is declared')
  return effects
}
