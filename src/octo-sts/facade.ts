/** What the exchange, and what follows a push, work with: the settings of the section, and how policies are had. */
import type { FoundFile } from '../../issuers/shared/files.ts'
import { sameName } from '../../issuers/shared/github-name.ts'
import type { Broker } from '../broker/broker.ts'
import type { OctoSts, OctoStsOwner } from '../config/octo-sts.ts'
import type { AgentDocument } from '../policy/agent.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { effectiveRights } from './effective-rights.ts'
import {
  type IdentityPlace,
  identityAgent,
  identityAgentName,
  placeIn,
  trustRuleOf,
} from './identity-agent.ts'
import type { PolicyFiles } from './policy-files.ts'
import { policyPath } from './scope.ts'
import { GRPC, StsRefusal } from './sts-refusal.ts'
import { readTrustPolicy, type TrustPolicy } from './trust-policy.ts'

export type Facade = {
  settings: OctoSts
  /** What clients call this, and the audience of tokens. */
  domain: string
  registry: LiveRegistry
  files: PolicyFiles
  /** One file from the provider, for this caller. @throws BrokerError `rate_limited` */
  admitRead(caller: string, owner: string): void
}

/** The owner's own settings, however its letters are written. */
export function ownerOf({ settings }: Facade, owner: string): OctoStsOwner | undefined {
  const found = Object.entries(settings.owners).find(([name]) => sameName(name, owner))
  return found?.[1]
}

/** A policy that was found, under the names that GitHub has for where it stands, whatever the caller wrote. */
export type FoundPolicy = {
  place: IdentityPlace
  /** Of the file. */
  stands: { repository: string; repositoryId: number }
  policy: TrustPolicy
}

/** @throws StsRefusal where it is none. What exactly is wrong with it is in the log alone. */
export function parsePolicy(
  broker: Pick<Broker, 'log'>,
  file: FoundFile,
  { identity, isOrganization }: { identity: string; isOrganization: boolean },
): FoundPolicy {
  const [owner = '', repository = ''] = file.repository.name.split('/')
  const where = `${file.repository.name}/${policyPath(identity)}`
  const quoted = JSON.stringify(identity)
  if ('unreadable' in file) {
    broker.log.warn({ policy: where, expected: file.unreadable }, 'a trust policy cannot be read')
    throw new StsRefusal(GRPC.notFound, `unable to read trust policy found for ${quoted}`)
  }
  const read = readTrustPolicy(where, file.text, isOrganization)
  if (!read.ok) {
    const problems = read.problems.slice(0, 10).map(({ file: _, ...problem }) => problem)
    broker.log.warn({ policy: where, problems }, 'a trust policy is not of the expected form')
    throw new StsRefusal(GRPC.notFound, `unable to ${read.stage} trust policy found for ${quoted}`)
  }
  return {
    place: { owner, repository: isOrganization ? undefined : repository, identity },
    stands: { repository, repositoryId: file.repository.id },
    policy: read.policy,
  }
}

/** `narrowed`: what the file says and does not get. @throws StsRefusal where nothing is left */
export function agentOf(
  facade: Facade,
  broker: Pick<Broker, 'issuers'>,
  found: FoundPolicy,
  settings: OctoStsOwner,
): { document: AgentDocument; ask: Readonly<Record<string, unknown>>; narrowed: readonly string[] } {
  const { place, policy, stands } = found
  const at = { ...stands, owner: place.owner, isOrganization: place.repository === undefined }
  const effective = effectiveRights(policy, at, settings.ceiling)
  if (!effective.ok) throw new StsRefusal(GRPC.permissionDenied, effective.why)
  const parsed = broker.issuers.get(settings.issuer)?.ask.safeParse(effective.rights)
  if (parsed?.success !== true)
    throw new StsRefusal(GRPC.permissionDenied, `trust policy: ${settings.issuer} cannot give what it says`)
  const name = identityAgentName(facade.settings.namespace, place)
  const trust = trustRuleOf(place, policy, settings, facade.domain)
  const document = identityAgent(name, place, trust, { settings, ceiling: parsed.data })
  return { document, ask: effective.rights, narrowed: effective.narrowed }
}

/** Whether an agent was made of a policy in this repository. */
export function isFrom(
  { settings }: Facade,
  { trust }: Pick<AgentDocument, 'trust'>,
  at: { owner: string; repository: string },
): boolean {
  if (trust === undefined) return false
  const { owner, repository = settings.organization_repository } = placeIn(trust.origin)
  return sameName(owner, at.owner) && sameName(repository, at.repository)
}
