/**
 * Whether a policy can apply to anything at all, as far as that is decided without a solver: what it demands of one
 * fact, all at once, must leave that fact a value.
 */
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { LIMITS } from '../../limits.ts'
import {
  binaryOf,
  entityText,
  type Fact,
  factsOf,
  type Literal,
  literalOf,
  literalsOf,
  pathOf,
  within,
} from './lint-expression.ts'
import { askActionsOf, entitiesOf } from './lint-scope.ts'
import { PHASES } from './schema.ts'
import type { Vocabulary } from './vocabulary.ts'

/** What a fact may be at all: one of these, or between these. */
type Domain = { values: readonly Literal[] } | { least: number; most: number }
export type Domains = ReadonlyMap<string, Domain>

export function domainsOf(vocabulary: Vocabulary, attestors: readonly string[] | undefined): Domains {
  const tiers = { values: ['low', 'medium', 'high'] }
  const statuses = { values: ['active', 'suspended', 'quarantined', 'offboarded', 'removed', 'expired'] }
  const agents = ['principal', 'context.agent'].flatMap((agent): [string, Domain][] => [
    [`${agent}.riskTier`, tiers],
    [`${agent}.tier`, { least: 1, most: 3 }],
    [`${agent}.status`, statuses],
  ])
  return new Map<string, Domain>([
    ...agents,
    ['context.issuer', { values: Object.keys(vocabulary.issuers) }],
    ['context.phase', { values: PHASES }],
    ['context.revocability', { values: ['immediate', 'propagating', 'introspected', 'expiry_only'] }],
    ['context.urgency', { values: ['low', 'normal', 'high'] }],
    ['context.confidence', { least: 0, most: 100 }],
    ['context.weekday', { least: 1, most: 7 }],
    ['context.hour', { least: 0, most: 23 }],
    ['context.ttlSeconds', { least: 0, most: LIMITS.taskMinutes * 60 }],
    ['context.depth', { least: 0, most: LIMITS.lineageDepth }],
    ...(attestors === undefined ? [] : [['context.attestor', { values: attestors }] as const]),
  ])
}

/** Values that policies look for and that do not exist, wherever they stand in it. */
export function impossibleValues(
  { conditions }: Pick<PolicyJson, 'conditions'>,
  domains: Domains,
): { path: string; value: Literal }[] {
  const found: { path: string; value: Literal }[] = []
  const look = (path: string | undefined, value: Literal | undefined) => {
    const domain = path === undefined ? undefined : domains.get(path)
    if (path === undefined || value === undefined || domain === undefined || isIn(domain, value)) return
    if (!found.some(one => one.path === path && one.value === value)) found.push({ path, value })
  }
  for (const node of within(conditions)) {
    const both = binaryOf(node)
    if (both?.operator === '==' || both?.operator === '!=') {
      look(pathOf(both.left), literalOf(both.right))
      look(pathOf(both.right), literalOf(both.left))
    } else if (both?.operator === 'contains')
      for (const value of literalsOf(both.left) ?? []) look(pathOf(both.right), value)
  }
  return found
}

/** The first fact that the policy leaves no value, in words; undefined where none is seen. */
export function contradictionIn(
  policy: PolicyJson,
  domains: Domains,
  vocabulary: Vocabulary,
): string | undefined {
  const standing = new Map<string, Standing>()
  const at = (path: string): Standing => {
    const known = standing.get(path)
    if (known !== undefined) return known
    const fresh = standingOf(domains.get(path))
    standing.set(path, fresh)
    return fresh
  }
  for (const { path, values } of headFacts(policy, vocabulary)) narrow(at(path), values)
  for (const fact of factsOf(policy)) apply(fact, at)
  return [...standing].find(([, one]) => isEmpty(one))?.[0]
}

type Standing = { values: Literal[] | undefined; excluded: Literal[]; least: number; most: number }

function standingOf(domain: Domain | undefined): Standing {
  const open = { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY }
  const range = domain !== undefined && 'least' in domain ? domain : open
  const values = domain !== undefined && 'values' in domain ? [...domain.values] : undefined
  return { ...{ values, excluded: [] }, least: range.least, most: range.most }
}

function narrow(standing: Standing, values: readonly Literal[]): void {
  standing.values =
    standing.values === undefined ? [...values] : standing.values.filter(one => values.includes(one))
}

/** What a head says of the facts beside it. */
function headFacts(policy: PolicyJson, vocabulary: Vocabulary): { path: string; values: Literal[] }[] {
  const named = (['principal', 'resource'] as const).flatMap(path => {
    const head = policy[path]
    return head.op === '==' ? [{ path, values: entitiesOf(head).map(entityText) }] : []
  })
  const actions = askActionsOf(policy, vocabulary)
  return [
    ...named,
    { path: 'context.issuer', values: [...new Set(actions.map(({ issuer }) => issuer))] },
    { path: 'context.phase', values: [...new Set(actions.map(({ phase }) => phase))] },
  ]
}

function apply({ expression, holds }: Fact, at: (path: string) => Standing): void {
  const alone = pathOf(expression)
  if (alone !== undefined) narrow(at(alone), [holds])
  const both = binaryOf(expression)
  if (both === undefined) return
  const { operator, left, right } = both
  if (operator === 'contains') {
    const [values, path] = [literalsOf(left), pathOf(right)]
    if (values === undefined || path === undefined) return
    if (holds) narrow(at(path), values)
    else at(path).excluded.push(...values)
    return
  }
  const [path, value, mirrored] =
    literalOf(right) === undefined
      ? [pathOf(right), literalOf(left), true]
      : [pathOf(left), literalOf(right), false]
  if (path === undefined || value === undefined) return
  if (operator === '==' || operator === '!=') {
    if ((operator === '==') === holds) narrow(at(path), [value])
    else at(path).excluded.push(value)
  } else if (typeof value === 'number') bound(at(path), mirrored ? MIRROR[operator] : operator, value, holds)
}

const MIRROR: Readonly<Record<string, string>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' }
const OPPOSITE: Readonly<Record<string, string>> = { '<': '>=', '<=': '>', '>': '<=', '>=': '<' }

/** Whole numbers: less than 3 is at most 2. */
function bound(standing: Standing, operator: string | undefined, value: number, holds: boolean): void {
  const said = operator === undefined || holds ? operator : OPPOSITE[operator]
  if (said === '<') standing.most = Math.min(standing.most, value - 1)
  if (said === '<=') standing.most = Math.min(standing.most, value)
  if (said === '>') standing.least = Math.max(standing.least, value + 1)
  if (said === '>=') standing.least = Math.max(standing.least, value)
}

function isEmpty({ values, excluded, least, most }: Standing): boolean {
  if (least > most) return true
  if (values === undefined) return false
  const fits = (value: Literal) => typeof value !== 'number' || (value >= least && value <= most)
  return !values.some(value => fits(value) && !excluded.includes(value))
}

function isIn(domain: Domain, value: Literal): boolean {
  if ('values' in domain) return domain.values.includes(value)
  return typeof value === 'number' && value >= domain.least && value <= domain.most
}
