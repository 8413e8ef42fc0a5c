/**
 * The agent that an identity of octo-sts is here: one for each policy file, under a name that follows from it, so that
 * it can be suspended, revoked, budgeted and looked up like any other. Pure.
 */
import { createHash } from 'node:crypto'
import type { OctoStsOwner } from '../config/octo-sts.ts'
import { LIMITS } from '../limits.ts'
import type { AgentDocument } from '../policy/agent.ts'
import type { TrustRule } from '../policy/trust/trust-rule.ts'
import type { TrustPolicy } from './trust-policy.ts'

/** Letters as GitHub writes them. `repository`: undefined for a policy that is for the owner as a whole. */
export type IdentityPlace = { owner: string; repository: string | undefined; identity: string }

/** `acme/app:deploy`, or `acme:deploy` of the organization. */
export function originOf(place: IdentityPlace): string {
  return `${scopeOf(place)}:${place.identity}`
}

export function placeIn(origin: string): IdentityPlace {
  const [scope = '', identity = ''] = origin.split(':')
  const [owner = '', repository] = scope.split('/')
  return { owner, repository, identity }
}

const scopeOf = ({ owner, repository }: Omit<IdentityPlace, 'identity'>) =>
  repository === undefined ? owner : `${owner}/${repository}`

/**
 * `octo.acme-app-deploy-1f0c7a9be24d`: words for people, and behind them what keeps two identities apart whose words
 * are the same. The letters' case of owner and repository does not matter, as at GitHub.
 */
export function identityAgentName(namespace: string, place: IdentityPlace): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([scopeOf(place).toLowerCase(), place.identity]))
    .digest('hex')
    .slice(0, DIGEST_CHARS)
  const words = originOf(place)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^(?![a-z])/, 'id-')
  const room = LIMITS.nameChars - namespace.length - DIGEST_CHARS - '.-'.length
  return `${namespace}.${words.slice(0, Math.max(1, room)).replace(/-+$/, '')}-${digest}`
}
const DIGEST_CHARS = 12

/** Whom the file stands for. @param domain the audience where it names none */
export function trustRuleOf(
  place: IdentityPlace,
  policy: TrustPolicy,
  owner: Pick<OctoStsOwner, 'attestors' | 'events'>,
  domain: string,
): TrustRule {
  const { permissions: _, repositories: __, ...rule } = policy
  const isForUs = rule.audience === undefined && rule.audience_pattern === undefined
  return {
    ...rule,
    ...(isForUs ? { audience: domain } : {}),
    origin: originOf(place),
    attestors: owner.attestors,
    events: owner.events,
  }
}

/** @param ceiling the rights that it has, as its issuer parsed them */
export function identityAgent(
  name: string,
  place: IdentityPlace,
  trust: TrustRule,
  { settings, ceiling }: { settings: OctoStsOwner; ceiling: unknown },
): AgentDocument {
  const scope = scopeOf(place)
  return {
    name,
    owner: settings.owner,
    purpose: `the octo-sts identity ${place.identity} of ${scope}`.slice(0, LIMITS.purposeChars),
    risk_tier: settings.risk_tier,
    systems: [scope.slice(0, LIMITS.labelChars)],
    expires_at: settings.expires_at,
    attest: [],
    trust,
    ceiling: { [settings.issuer]: [ceiling] },
    may_outlive_minutes: {},
    limits: { ...settings.limits, child_depth: 0, children: 0 },
    may_delegate_to: [],
  }
}
