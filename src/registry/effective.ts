/** What of the registered counts, by the namespaces that the operator grants now. Pure. */
import type { Issuer } from '../../issuers/issuer.ts'
import type { Namespace, ResourceServer, Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import type { Agent, AgentDocument } from '../policy/agent.ts'
import type { Resource } from './resource.ts'

type Granted = Pick<Settings, 'namespaces'>
/** `issuers`: the operator's, by which what they give to a namespace is judged. */
export type Judged = Granted & { issuers: ReadonlyMap<string, Pick<Issuer, 'ask' | 'covers'>> }

/** An attestor or issuer as far as it matters who may use it. */
type Named = { name: string; namespace: string | null; type: string }

export type Effective = {
  agents: ReadonlyMap<string, Agent>
  resourceServers: ReadonlyMap<string, ResourceServer>
  /** What is registered and does not count, and why. */
  idle: readonly { resource: Resource; why: string }[]
}

export function effective(resources: readonly Resource[], granted: Judged): Effective {
  const agents = new Map<string, Agent>()
  const resourceServers = new Map<string, ResourceServer>()
  const idle: { resource: Resource; why: string }[] = []
  const instances = { attestor: named(resources, 'attestor'), issuer: named(resources, 'issuer') }
  for (const resource of resources) {
    if (resource.kind !== 'agent' && resource.kind !== 'resource_server') continue
    const why = refusal(resource, instances, granted)
    if (why !== undefined) idle.push({ resource, why })
    // Both were parsed by their schema before they were registered, and their rows are verified.
    else if (resource.kind === 'agent')
      agents.set(resource.name, { ...(resource.document as AgentDocument), digest: resource.digest })
    else resourceServers.set(resource.name, resource.document as ResourceServer)
  }
  return { agents, resourceServers, idle }
}

/** Whether agents of `namespace` may use an instance: its own, or one that the operator shares with it. */
export function mayUse(
  namespace: string | null,
  instance: Named,
  kind: 'attestor' | 'issuer',
  { namespaces }: Granted,
): boolean {
  if (instance.namespace !== namespace && instance.namespace !== null) return false
  if (namespace === null) return true
  const granted = own(namespaces, namespace)
  if (granted === undefined) return false
  if (instance.namespace === null)
    return kind === 'attestor'
      ? (granted.attestors?.includes(instance.name) ?? true)
      : Object.hasOwn(granted.issuers, instance.name)
  return (kind === 'attestor' ? granted.attestor_types : granted.issuer_types).includes(instance.type)
}

/** What the operator grants to a namespace; undefined where there is none of this name. */
export function own(namespaces: Readonly<Record<string, Namespace>>, name: string): Namespace | undefined {
  return Object.hasOwn(namespaces, name) ? namespaces[name] : undefined
}

export function namedInstance({ name, namespace, document }: Resource): Named {
  return { name, namespace, type: String(document.type) }
}

type ByName = ReadonlyMap<string, Named>

function named(resources: readonly Resource[], kind: keyof typeof KINDS): ByName {
  return new Map(resources.filter(one => one.kind === kind).map(one => [one.name, namedInstance(one)]))
}
const KINDS = { attestor: 1, issuer: 1 }

function refusal(
  { kind, namespace, document }: Resource,
  instances: Readonly<Record<'attestor' | 'issuer', ByName>>,
  granted: Judged,
): string | undefined {
  if (namespace === null) return undefined
  const grant = own(granted.namespaces, namespace)
  if (grant === undefined) return `the namespace ${namespace} is not in mayfly.yaml`
  if (kind === 'resource_server') {
    const { audience } = document as ResourceServer
    return grant.audiences.includes(audience) ? undefined : `the audience ${audience} is not the namespace's`
  }
  const { attest, ceiling } = document as AgentDocument
  const may = (name: string, of: 'attestor' | 'issuer') => {
    const instance = instances[of].get(name)
    return instance !== undefined && mayUse(namespace, instance, of, granted)
  }
  const attestor = attest.find(rule => !may(rule.attestor, 'attestor'))
  if (attestor !== undefined) return `the attestor ${attestor.attestor} is not there for it`
  const missing = Object.keys(ceiling).filter(name => !may(name, 'issuer'))
  const gone = missing.find(name => instances.issuer.get(name)?.namespace !== null)
  if (gone !== undefined) return `the issuer ${gone} is not there for it`
  if (missing.length > 0) return ungiven(namespace, grant, missing)
  const [beyond] = beyondGrant(namespace, ceiling, granted)
  return beyond && `of ${beyond.issuer} it goes beyond what its namespace may have: ${shownAsk(beyond.ask)}`
}

/** What to write, where these of the operator's issuers are to be the namespace's. */
function ungiven(namespace: string, { issuers }: Namespace, names: readonly string[]): string {
  const [key, all] = [`namespaces.${namespace}`, names.join(', ')]
  const remedy =
    Object.keys(issuers).length === 0
      ? `write \`issuers: [${all}]\` in ${key}`
      : `add ${all} to ${key}.issuers`
  return (
    `its ceiling has asks of the operator's issuers ${all}, and mayfly.yaml gives its namespace only the issuers that ` +
    `${key}.issuers names. Its tasks end, and it opens none. If it is to work on, ${remedy} and restart`
  )
}

/**
 * Entries of an agent's ceiling that are within none of the entries that bound its namespace at that issuer. What
 * cannot be judged bounds everything.
 */
export function beyondGrant(
  namespace: string,
  ceiling: Readonly<Record<string, readonly unknown[]>>,
  { namespaces, issuers }: Judged,
): { issuer: string; index: number; ask: unknown }[] {
  const grants = own(namespaces, namespace)?.issuers ?? {}
  return Object.entries(ceiling).flatMap(([name, asks]) => {
    const bound = Object.hasOwn(grants, name) ? grants[name]?.ceiling : undefined
    if (bound === undefined) return []
    const issuer = issuers.get(name)
    const most = bound.flatMap(one => {
      const parsed = issuer?.ask.safeParse(one)
      return parsed?.success === true ? [parsed.data] : []
    })
    return asks.flatMap((ask, index) =>
      most.some(one => issuer?.covers(one, ask)) ? [] : [{ issuer: name, index, ask }],
    )
  })
}

/** For people, whatever its length. */
export const shownAsk = (ask: unknown): string => JSON.stringify(ask).slice(0, LIMITS.reasonChars)
