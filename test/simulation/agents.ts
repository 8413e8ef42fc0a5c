/** The agents of a simulated installation, as wide as they are and narrower. */
import { canonicalDigest } from '../../src/canonical.ts'
import type { Agent, AgentDocument } from '../../src/policy/agent.ts'
import { ORDERS } from './issuers.ts'

export const AGENTS_EXPIRE_AT = 4_000_000_000_000

/** `wide`: everything. `narrow`: the builder may have less. `alone`: the helper is gone. */
export const configurations = ['wide', 'narrow', 'alone'] as const
export type Configuration = (typeof configurations)[number]

export function agentsOf(configuration: Configuration): ReadonlyMap<string, Agent> {
  const all = configuration === 'alone' ? [builder('wide')] : [builder(configuration), helper()]
  return new Map(all.map(document => [document.name, { ...document, digest: canonicalDigest(document) }]))
}

function builder(width: 'wide' | 'narrow'): AgentDocument {
  const hub = width === 'wide' ? ['a', 'b', 'c'] : ['a']
  return {
    ...common('builder'),
    ceiling: {
      hub: [{ items: [...hub, 'forbidden'] }],
      brief: [{ items: ['a', 'b', 'forbidden'] }],
      roles: [
        { role: 'deploy', items: ['a', 'b'] },
        { role: 'chain', items: ['a'] },
      ],
      jwt: [{ audience: ORDERS, scopes: ['read', 'write'] }],
    },
    limits: { task_minutes: 8, active_tasks: 2, credentials_per_hour: 14, child_depth: 3, children: 2 },
    may_delegate_to: ['helper', 'builder'],
  }
}

function helper(): AgentDocument {
  return {
    ...common('helper'),
    ceiling: {
      hub: [{ items: ['a', 'b'] }],
      brief: [{ items: ['a'] }],
      jwt: [{ audience: ORDERS, scopes: ['read'] }],
    },
    limits: { task_minutes: 10, active_tasks: 4, credentials_per_hour: 10, child_depth: 2, children: 2 },
    may_delegate_to: ['helper'],
    heartbeat_seconds: 40,
  }
}

function common(name: string) {
  return {
    name,
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    purpose: 'works',
    risk_tier: 'medium' as const,
    systems: ['api'],
    expires_at: AGENTS_EXPIRE_AT,
    attest: [{ attestor: 'sim', claims: { kind: [name] } }],
    may_outlive_minutes: {},
  }
}
