/**
 * The published Cedar schema, generated from what is configured (https://docs.cedarpolicy.com/schema). Policies are
 * validated against it in strict mode, and so is every request. What operators may do is not in it: a permit for
 * every ask must not make everybody an operator.
 */
import type { Phase } from '../../../issuers/issuer.ts'
import type { ClaimType, Vocabulary } from './vocabulary.ts'

export const PHASES: readonly Phase[] = ['read', 'propose', 'execute', 'deploy', 'transact']

/** `github-app:deploy`; groups are `*:deploy` (a phase), `github-app:*` (an issuer) and `*:*` (every ask). */
export const actionOf = (issuer: string, phase: Phase): string => `${issuer}:${phase}`
export const groupsOf = (issuer: string, phase: Phase): string[] => ['*:*', `*:${phase}`, `${issuer}:*`]

/** The same vocabulary gives the same text. */
export function cedarSchema(vocabulary: Vocabulary): string {
  return [
    'namespace Mayfly {',
    ...[PRINCIPALS, resources(vocabulary), claims(vocabulary), CONTEXT, askActions(vocabulary)],
    '}',
    '',
  ].join('\n')
}

const PRINCIPALS = `
  // Who asks. An ask on behalf of a human is judged once for the agent and once for the human: both must be allowed.
  entity Team;
  entity Group;
  entity Agent in [Team] = {
    name: String,
    team: String,
    technicalOwner: String,
    riskTier: String, // low, medium, high
    tier: Long, // the same as 1, 2, 3
    status: String, // active, suspended, quarantined, offboarded, removed
    systems: Set<String>,
  };
  // The id is ISSUER#SUBJECT.
  entity Human in [Group] = { issuer: String, subject: String };`

const TOUCHED = '{ type: String, id: String, name: String }'

function resources({ issuers }: Vocabulary): string {
  const within = new Map<string, Set<string>>()
  for (const types of Object.values(issuers))
    for (const [type, parents] of Object.entries(types)) {
      within.set(type, new Set([...(within.get(type) ?? []), ...parents]))
      for (const parent of parents) if (!within.has(parent)) within.set(parent, new Set())
    }
  const entities = [...within]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([type, parents]) =>
        `  entity ${type} in [${[...parents].sort().concat('Resource').join(', ')}] = ${TOUCHED};`,
    )
  return `
  // What is touched. The entity's id is the provider's own, where the ask knows it.
  // Anything of a type that its plugin does not declare; the entity's id is TYPE/ID.
  entity Resource in [Resource] = ${TOUCHED};
${entities.join('\n')}`
}

const CLAIM_TYPES: Readonly<Record<ClaimType, string>> = {
  string: 'String',
  integer: 'Long',
  boolean: 'Bool',
  string_list: 'Set<String>',
}

function claims({ claims: types }: Vocabulary): string {
  const members = Object.entries(types).map(([name, type]) => `    ${quoted(name)}?: ${CLAIM_TYPES[type]},`)
  return `
  // Attested claims that an attestor types.
  type Claims = {
${members.join('\n')}
  };
  // All other attested claims, as text: context.identity.getTag("repo_property_tier").
  entity Identity tags String;`
}

const CONTEXT = `
  // What was minted in the window that ends now: for this task's line, this agent, the agents of its team.
  type Held = {
    phases: { lineage: Set<String>, agent: Set<String>, owner: Set<String> },
    credentials: { lineage: Long, agent: Long, owner: Long },
  };
  // Present only where it is for exactly this ask (context.digest).
  type Approval = { digest: String, count: Long, groups: Set<String> };
  type AskContext = {
    agent: Agent,
    human?: Human,
    issuer: String,
    phase: String, // read, propose, execute, deploy, transact
    attestor: String,
    subject: String,
    claims: Claims,
    identity: Identity,
    purpose: String, // the caller's own words
    ttlSeconds: Long, // from now to the deadline of the task; never negative
    parents: Set<String>, // agents above this task
    depth: Long, // how many of them
    permissions: Set<String>,
    targets: Set<String>,
    revocability: String, // immediate, propagating, introspected, expiry_only
    mayLeaveAccess: Bool,
    confidence?: Long, // 0 to 100, as the caller says; it may only narrow
    urgency?: String, // low, normal, high, as the caller says; it may only narrow
    held: Held,
    now: datetime, // UTC, to the minute
    nowSeconds: Long, // since 1970
    weekday: Long, // 1 is Monday, 7 is Sunday; UTC
    hour: Long, // 0 to 23; UTC
    digest: String,
    approval?: Approval,
  };`

function askActions({ issuers }: Vocabulary): string {
  const names = Object.keys(issuers)
  const groups = ['*:*', ...PHASES.map(phase => `*:${phase}`), ...names.map(name => `${name}:*`)]
  const actions = Object.entries(issuers).flatMap(([name, types]) => {
    const touched = [...Object.keys(types), 'Resource'].join(', ')
    return PHASES.map(
      phase =>
        `  action ${quoted(actionOf(name, phase))} in [${groupsOf(name, phase).map(quoted).join(', ')}] appliesTo {
    principal: [Agent, Human], resource: [${touched}], context: AskContext
  };`,
    )
  })
  return `
  // One action for each issuer and phase, in the groups of both; "*:*" is every ask.
${groups.map(group => `  action ${quoted(group)};`).join('\n')}
${actions.join('\n')}`
}

/** A Cedar string literal. */
export function quoted(text: string): string {
  const escaped = text.replaceAll(/[\\"]/g, found => `\\${found}`)
  return `"${escaped.replaceAll(/\p{Cc}/gu, found => `\\u{${found.codePointAt(0)!.toString(16)}}`)}"`
}
