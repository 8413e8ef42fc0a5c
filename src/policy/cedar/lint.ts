/**
 * What is wrong with policies that are valid: rules that admit strangers, rules that can never apply, names where
 * ids belong. Judges Cedar's JSON form, so that layout and comments hide nothing. Pure, and calls no Cedar.
 */
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { CompiledPolicy } from './compile.ts'
import { pathsIn } from './lint-expression.ts'
import type { Finding, Found } from './lint-finding.ts'
import { likeFindings, nameFindings } from './lint-identity.ts'
import { contradictionIn, domainsOf, impossibleValues } from './lint-never.ts'
import { type AskAction, askActionsOf, entitiesOf, headCovers } from './lint-scope.ts'
import type { Vocabulary } from './vocabulary.ts'

export type Linted = Pick<CompiledPolicy, 'id' | 'effect' | 'file' | 'line' | 'json'>

/** What of the installation the rules are held against. */
export type LintFacts = {
  vocabulary: Vocabulary
  /** Configured names. Absent: not known, and not judged. */
  attestors?: readonly string[]
  /** Of those, the ones whose evidence comes from events that strangers can cause. */
  riskyAttestors?: readonly string[]
  agents?: readonly string[]
  teams?: readonly string[]
}

/** In the order of files and lines. */
export function lintPolicies(policies: readonly Linted[], facts: LintFacts): Finding[] {
  const found = policies.flatMap(policy =>
    lintOne(policy, policies, facts).map(one => ({
      ...one,
      ...{ file: policy.file, line: policy.line, policy: policy.id },
    })),
  )
  return found.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
}

function lintOne(policy: Linted, all: readonly Linted[], facts: LintFacts): Found[] {
  return [
    ...openFindings(policy, all),
    ...likeFindings(policy.json),
    ...nameFindings(policy.json),
    ...neverFindings(policy, facts),
    ...principalFindings(policy, facts),
    ...shadowFindings(policy, all, facts),
    ...eventFindings(policy, all, facts),
    ...callerFindings(policy),
  ]
}

function openFindings({ json }: Linted, all: readonly Linted[]): Found[] {
  const open =
    json.effect === 'permit' && json.conditions.length === 0 && entitiesOf(json.principal).length === 0
  if (!open || entitiesOf(json.resource).length > 0) return []
  const isAll = json.action.op === 'All' || entitiesOf(json.action).some(({ id }) => id.startsWith('*:'))
  if (!isAll || all.some(({ effect }) => effect === 'forbid')) return []
  return [
    {
      ...{ rule: 'open-permit', severity: 'warning' },
      message:
        'permits every agent, and nothing in the set forbids anything: it is as if there were no policy',
      remedy: 'Say who or under which conditions, or add the forbids that this is the floor of',
    },
  ]
}

function neverFindings({ json }: Linted, { vocabulary, attestors }: LintFacts): Found[] {
  // A permit that never applies gives too little; a forbid gives a false sense of being safe.
  const severity = json.effect === 'forbid' ? 'error' : 'warning'
  const domains = domainsOf(vocabulary, attestors)
  const never = { rule: 'never-applies', severity } as const
  const impossible = impossibleValues(json, domains).map(
    ({ path, value }): Found => ({
      ...never,
      message: `${path} is never ${JSON.stringify(value)}`,
      remedy: describeDomain(domains.get(path)),
    }),
  )
  if (impossible.length > 0) return impossible
  const path = contradictionIn(json, domains, vocabulary)
  if (path === undefined) return []
  return [
    {
      ...never,
      message: `can never apply: what it demands of ${path} excludes itself`,
      remedy: 'Split it into two rules, or remove it',
    },
  ]
}

function describeDomain(domain: ReturnType<ReturnType<typeof domainsOf>['get']>): string {
  if (domain === undefined) return 'Remove it'
  return 'values' in domain
    ? `It is one of ${domain.values.join(', ') || 'none'}`
    : `It is from ${domain.least} to ${domain.most}`
}

function principalFindings({ json }: Linted, { agents, teams }: LintFacts): Found[] {
  const known = { 'Mayfly::Agent': agents, 'Mayfly::Team': teams } as const
  return entitiesOf(json.principal).flatMap(({ type, id }): Found[] => {
    const names = Object.hasOwn(known, type) ? known[type as keyof typeof known] : undefined
    if (names === undefined || names.includes(id)) return []
    return [
      {
        ...{ rule: 'no-such-principal', severity: 'warning' },
        message: `${type}::${JSON.stringify(id)} is not registered: the rule applies to nobody`,
        remedy: names.length === 0 ? 'Register it' : `There are ${names.slice(0, 20).join(', ')}`,
      },
    ]
  })
}

function shadowFindings({ json }: Linted, all: readonly Linted[], { vocabulary }: LintFacts): Found[] {
  if (json.effect !== 'permit') return []
  const above = all.find(
    other =>
      other.effect === 'forbid' &&
      other.json.conditions.length === 0 &&
      headCovers(other.json, json, vocabulary),
  )
  if (above === undefined) return []
  return [
    {
      ...{ rule: 'overshadowed', severity: 'warning' },
      message: `permits nothing: ${above.id} forbids all of it, without a condition`,
      remedy: `Give ${above.id} a condition, or remove this rule`,
    },
  ]
}

const EVENT = ['context.claims.event_name', 'context.identity["event_name"]']

function eventFindings({ json }: Linted, all: readonly Linted[], facts: LintFacts): Found[] {
  const { riskyAttestors = [], vocabulary, attestors } = facts
  if (json.effect !== 'permit' || riskyAttestors.length === 0 || looksAtEvent(json)) return []
  const open = askActionsOf(json, vocabulary).filter(
    action => action.phase !== 'read' && !all.some(one => forbidsEvents(one, json, action, vocabulary)),
  )
  if (open.length === 0 || keepsAway(json, riskyAttestors, { vocabulary, attestors })) return []
  const phases = [...new Set(open.map(({ phase }) => phase))].join(', ')
  return [
    {
      ...{ rule: 'risky-events', severity: 'warning' },
      message: `permits ${phases} whatever event the job runs on, also one that a stranger causes`,
      remedy:
        'Say which: when { context.claims has event_name && ["push", "workflow_dispatch"].contains(context.claims.event_name) }',
    },
  ]
}

function looksAtEvent(json: PolicyJson): boolean {
  const paths = pathsIn(json)
  return EVENT.some(path => paths.has(path))
}

function forbidsEvents(other: Linted, json: PolicyJson, action: AskAction, vocabulary: Vocabulary): boolean {
  const { issuer, phase } = action
  if (other.effect !== 'forbid' || !looksAtEvent(other.json)) return false
  const one: PolicyJson['action'] = {
    op: '==',
    entity: { type: 'Mayfly::Action', id: `${issuer}:${phase}` },
  }
  return headCovers(other.json, { ...json, action: one }, vocabulary)
}

/** Whether the rule is for other attestors only. */
function keepsAway(
  json: PolicyJson,
  risky: readonly string[],
  { vocabulary, attestors }: { vocabulary: Vocabulary; attestors: readonly string[] | undefined },
): boolean {
  if (!pathsIn(json).has('context.attestor')) return false
  // It is, if it could not apply were these the only attestors there are.
  const domains = new Map(domainsOf(vocabulary, attestors)).set('context.attestor', { values: risky })
  return contradictionIn(json, domains, vocabulary) === 'context.attestor'
}

function callerFindings({ json }: Linted): Found[] {
  if (json.effect !== 'permit') return []
  const paths = pathsIn(json)
  const declared = ['context.confidence', 'context.urgency'].find(path => paths.has(path))
  return [
    ...(paths.has('context.purpose')
      ? [
          {
            ...({ rule: 'caller-words', severity: 'warning' } as const),
            message: 'permits by context.purpose, which is whatever the caller writes',
            remedy: 'Permit by what is attested, and forbid by words if you must',
          },
        ]
      : []),
    ...(declared === undefined
      ? []
      : [
          {
            ...({ rule: 'caller-words', severity: 'warning' } as const),
            message: `permits by ${declared}, which may only narrow: without it nothing is permitted, and so nothing is with it`,
            remedy: `Permit without it, and forbid where ${declared} is too low or too high`,
          },
        ]),
  ]
}
