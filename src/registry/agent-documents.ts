/** Agents that a team registers: of its own and the shared issuers and attestors, and of nobody else's evidence. */

import type { Issuer } from '../../issuers/issuer.ts'
import {
  agentShapeOf,
  anyNameShape,
  type Parsed,
  type PluginInstance,
  type Problem,
  parseAgentFiles,
  rulesOf,
} from '../config.ts'
import type { Agent, AgentDocument, AttestRule } from '../policy/agent.ts'
import { beyondGrant, mayUse, namedInstance, shownAsk } from './effective.ts'
import { openTeamInstance } from './installed.ts'
import { newResource, type Resource } from './resource.ts'
import type { Parsing, WantedDocument } from './wanted.ts'

/** @param after everything else that will be registered */
export function parseAgentDocuments(
  parsing: Parsing,
  wanted: readonly WantedDocument[],
  after: readonly Resource[],
): Parsed<Resource[]> {
  const mine = wanted.filter(one => one.kind === 'agent')
  const problems: Problem[] = []
  const agents: Agent[] = []
  for (const namespace of new Set(mine.map(one => one.namespace))) {
    const own = mine.filter(one => one.namespace === namespace)
    const parsed = parseAgentFiles(
      own.map(({ name, file }) => ({ name, file })),
      surroundings(parsing, namespace, after),
    )
    if (parsed.ok) agents.push(...parsed.value)
    else problems.push(...parsed.problems)
  }
  for (const agent of agents) problems.push(...grantProblems(parsing, agent, mine))
  for (const agent of agents) problems.push(...overlapProblems(agent, agents, mine, after))
  problems.push(...leftBehind(parsing, mine, after))
  if (problems.length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: agents.map(({ digest: _, ...document }) => newResource('agent', document.name, document)),
  }
}

function surroundings(parsing: Parsing, namespace: string, after: readonly Resource[]) {
  const { settings } = parsing.options
  const usable = (kind: 'attestor' | 'issuer') =>
    after.filter(one => one.kind === kind && mayUse(namespace, namedInstance(one), kind, settings))
  const issuers = new Map(usable('issuer').map(one => [one.name, issuerOf(parsing, one)] as const))
  const attestors = Object.fromEntries(usable('attestor').map(one => [one.name, attestorOf(parsing, one)]))
  const others = after.filter(one => one.kind === 'agent' && one.namespace === namespace)
  return {
    settings: { ...settings, attestors },
    issuers,
    shape: agentShapeOf(anyNameShape),
    others: new Set(others.map(one => one.name)),
  }
}

/** As it will be: asks are parsed by its schema. */
function issuerOf({ broker, state, options }: Parsing, resource: Resource): Issuer {
  const ofFile = options.opened.issuers.get(resource.name)
  return ofFile ?? (openTeamInstance(broker, state, resource, options) as Issuer)
}

function attestorOf({ options: { settings, types } }: Parsing, { name, document }: Resource): PluginInstance {
  const ofFile = Object.hasOwn(settings.attestors, name) ? settings.attestors[name] : undefined
  if (ofFile !== undefined) return ofFile
  const type = String(document.type)
  const declared = document.settings as PluginInstance['declared']
  const known = types.attestorTypes.find(one => one.type === type)
  const parsed = known?.settings.safeParse(declared)
  if (!parsed?.success) return { type, declared, settings: {} }
  return { type, declared, settings: parsed.data, ...rulesOf(known?.rules, parsed.data) }
}

/** Whatever the team writes, its agents have no more of the operator's issuers than its namespace may have. */
function grantProblems(
  { options: { settings, opened } }: Parsing,
  { name, ceiling }: Agent,
  mine: readonly WantedDocument[],
): Problem[] {
  const { file, namespace } = mine.find(one => one.name === name)!
  return beyondGrant(namespace, ceiling, { ...settings, issuers: opened.issuers }).map(
    ({ issuer, index, ask }) =>
      file.problem(
        ['ceiling', issuer, index],
        `expected ${name} to stay within what the namespace ${namespace} may have of ${issuer}; beyond it is ` +
          shownAsk(ask),
        `Ask for less, or have the operator widen namespaces.${namespace}.issuers.${issuer} in mayfly.yaml`,
      ),
  )
}

/**
 * Evidence that two agents match opens nothing unless one is named, so that a team's rule that also matches the
 * workloads of another would stop these: it must be told apart. The operator's own agents win, and need no rule.
 */
function overlapProblems(
  agent: Agent,
  agents: readonly Agent[],
  mine: readonly WantedDocument[],
  after: readonly Resource[],
): Problem[] {
  const { file, namespace } = mine.find(one => one.name === agent.name)!
  const foreign = [
    ...after.filter(one => one.kind === 'agent').map(one => one.document as AgentDocument),
    ...agents,
  ].filter(one => one.name.includes('.') && !one.name.startsWith(`${namespace}.`))
  return agent.attest.flatMap((rule, index) =>
    foreign.some(one => one.attest.some(other => mayBothMatch(rule, other)))
      ? [
          file.problem(
            ['attest', index],
            'expected a rule that matches no workload of another team: one of theirs may match the same',
            'Name what sets your workload apart by the same claims, such as repository_id',
          ),
        ]
      : [],
  )
}

/** Whether some evidence could match both: unless a claim that both name has no value in common. */
export function mayBothMatch(a: AttestRule, b: AttestRule): boolean {
  if (a.attestor !== b.attestor) return false
  const apart = (one: readonly unknown[] | undefined, other: readonly unknown[] | undefined) =>
    one !== undefined && other !== undefined && !one.some(value => other.includes(value))
  if (apart(a.subject, b.subject)) return false
  return Object.keys(a.claims).every(claim => !apart(a.claims[claim], b.claims[claim]))
}

/** Agents that are not changed, and whose issuer or attestor would be gone, or whom they delegate to. */
function leftBehind(
  parsing: Parsing,
  mine: readonly WantedDocument[],
  after: readonly Resource[],
): Problem[] {
  const names = new Set(mine.map(one => one.name))
  const has = new Set(after.map(one => `${one.kind}/${one.name}`))
  for (const name of names) has.add(`agent/${name}`)
  return after.flatMap(({ kind, name, namespace, document }) => {
    if (kind !== 'agent' || namespace === null || names.has(name)) return []
    const { attest, ceiling, may_delegate_to } = document as AgentDocument
    const needs = [
      ...attest.map(rule => `attestor/${rule.attestor}`),
      ...Object.keys(ceiling).map(issuer => `issuer/${issuer}`),
      ...may_delegate_to.map(agent => `agent/${agent}`),
    ]
    const missing = needs.filter(one => !has.has(one) && parsing.state.rows.has(one))
    return missing.map(one => ({ file: one, key: '', expected: `to stay, since ${name} needs it` }))
  })
}
