/**
 * Policies of a simulated installation: a few rules that are judged at once, in place of Cedar in its thread, which
 * has tests of its own. They are registered, installed and replaced like real ones.
 */
import { createHash } from 'node:crypto'
import type { Phase } from '../../issuers/issuer.ts'
import type { ApprovalFacts, PolicyEngine, PolicyRequest, PolicyVerdict } from '../../src/policy/facts.ts'
import { noPolicy } from '../../src/policy/facts.ts'
import type { PolicyHost, PreparedPolicies } from '../../src/policy-host/host.ts'
import type { RegistryOptions } from '../../src/registry/registry.ts'
import { ORDERS } from './issuers.ts'
import type { Scope } from './scope.ts'

export type Rule = ScopeRule | ApartRule

type ScopeRule = {
  id: string
  issuer: string
  /** An item, a role, a scope: whatever is asked for must have it. */
  having: string
} & ({ effect: 'forbid' } | { effect: 'ask'; quorum: number; groups: readonly string[]; ownerMay: boolean })

/** Whoever was given one of these is given none of the other. */
export type ApartRule = {
  id: string
  effect: 'apart'
  phases: readonly [Phase, Phase]
  /** The second is not given after the first; the first may be given after the second. */
  isOneWay?: true
  of: 'agent' | 'lineage'
}

type File = { name: string; text: string }

const ask = (issuer: string, having: string, quorum: number, groups: string[], ownerMay = false): Rule => ({
  ...{ id: `${issuer}-${having}-${quorum}`, issuer, having },
  ...{ effect: 'ask', quorum, groups, ownerMay },
})
const forbid = (issuer: string, having: string): Rule => ({
  ...{ id: `no-${issuer}-${having}`, issuer, having },
  effect: 'forbid',
})

const apart = (of: ApartRule['of'], ...phases: ApartRule['phases']): Rule => ({
  ...{ id: `${of}-${phases.join('-or-')}`, effect: 'apart', phases, of },
})

const after = (of: ApartRule['of'], first: Phase, second: Phase): Rule => ({
  ...{ id: `${of}-${second}-not-after-${first}`, effect: 'apart', phases: [first, second], of },
  isOneWay: true,
})

/** Of the files. `none`: no policy at all. */
const sets = {
  none: [],
  asking: [
    ask('roles', 'a', 1, ['security', 'platform']),
    ask('hub', 'b', 1, []),
    // Nobody gets it, whoever agrees: the approval has its mint back.
    ask('hub', 'forbidden', 1, []),
    ask('jwt', 'write', 1, ['security'], true),
  ],
  strict: [
    ask('roles', 'a', 2, ['security', 'platform']),
    ask('hub', 'b', 1, ['security']),
    ask('jwt', 'read', 1, [], true),
    forbid('hub', 'c'),
  ],
  // Judged by what was given before: of two that ask at once, one must see the other.
  apart: [
    apart('agent', 'propose', 'deploy'),
    apart('lineage', 'propose', 'execute'),
    after('agent', 'execute', 'read'),
  ],
} satisfies Record<string, readonly Rule[]>
export type PolicySet = keyof typeof sets
export const policySets = Object.keys(sets) as readonly PolicySet[]

/** What a team registers beside them. */
export const guards: readonly (readonly Rule[])[] = [[ask('brief', 'a', 1, [])], [forbid('hub', 'b')]]

export function policyFiles(set: PolicySet): { name: string; text: string }[] {
  return set === 'none' ? [] : [{ name: 'house.cedar', text: JSON.stringify(sets[set]) }]
}

export function rulesOf(texts: readonly string[]): Rule[] {
  // Written here, by nobody else.
  return texts.flatMap(text => JSON.parse(text) as Rule[])
}

/** By which a set is known. @param texts of its policies, in the order of their names. */
export function hashOf(texts: readonly string[]): string {
  return texts.length === 0 ? 'none' : createHash('sha256').update(JSON.stringify(texts)).digest('hex')
}

/** Whatever a rule can be about, in what was asked for. */
export function wordsOf({ items = [], role, audience, scopes = [] }: Scope): Set<string> {
  const wanted = audience === ORDERS ? [...scopes, audience] : []
  return new Set([...items, ...(role === undefined ? [] : [role]), ...wanted])
}

/** Those of a scope that are about this. */
export const applying = (rules: readonly Rule[], issuer: string, words: ReadonlySet<string>) =>
  rules
    .filter(rule => rule.effect !== 'apart')
    .filter(rule => rule.issuer === issuer && words.has(rule.having))

/** Those that keep this phase from another, and the other. */
export const partings = (rules: readonly Rule[], phase: Phase) =>
  rules
    .filter(rule => rule.effect === 'apart')
    .flatMap(({ id, of, phases: [one, other], isOneWay }) => [
      ...(phase === one && !isOneWay ? [{ id, of, from: other }] : []),
      ...(phase === other ? [{ id, of, from: one }] : []),
    ])

export type JudgeWorld = {
  /** What it takes to judge; undefined: nothing. */
  travel: () => Promise<void> | undefined
  /** Whether nothing can be judged now. */
  isBroken: () => boolean
}

export function simulatedPolicies(world: JudgeWorld): PolicyHost {
  const none: PreparedPolicies = { hash: 'none', engine: noPolicy, install: () => put(none), discard }
  let current = none
  const put = (next: PreparedPolicies) => {
    current = next
  }
  return {
    engine: {
      hash: () => current.hash,
      needs: () => current.engine.needs(),
      textOf: () => undefined,
      judge: request => current.engine.judge(request),
      inForce: () => current.engine,
      notReady: () => undefined,
    },
    async prepare(files) {
      if (files === undefined) return { ok: true, prepared: none }
      const engine = engineOf(files, world)
      const prepared = { hash: engine.hash(), engine, install: () => put(prepared), discard }
      return { ok: true, prepared: engine.hash() === current.hash ? current : prepared }
    },
    stop: discard,
  }
}

async function discard(): Promise<void> {}

function engineOf(files: readonly File[], world: JudgeWorld): PolicyEngine {
  const texts = files.map(({ text }) => text)
  const [rules, hash] = [rulesOf(texts), hashOf(texts)]
  const scopes = new Set(rules.flatMap(rule => (rule.effect === 'apart' ? [rule.of] : [])))
  const held = [...scopes].map(of => `phases.${of}` as const)
  return {
    hash: () => hash,
    needs: () => ({ held, digest: false }),
    async judge(request) {
      await world.travel()
      return world.isBroken() ? unknown : judge(rules, request)
    },
  }
}

const nothing = { determining: [], reasons: [], requires: [], nearest: [] }
const unknown: PolicyVerdict = { ...nothing, outcome: 'deny', reasons: ['nothing was judged'], failed: true }

function judge(rules: readonly Rule[], { issuer, phase, resources, context }: PolicyRequest): PolicyVerdict {
  const words = new Set([...resources.map(one => one.id), ...context.permissions])
  const hit = applying(rules, issuer, words)
  const told = (those: readonly { id: string }[]) => ({
    ...{ determining: those.map(rule => rule.id), reasons: those.map(rule => rule.id), nearest: [] },
  })
  const parting = partings(rules, phase).filter(({ of, from }) => context.held.phases[of].includes(from))
  const forbidding = [...hit.filter(rule => rule.effect === 'forbid'), ...parting]
  if (forbidding.length > 0) return { ...told(forbidding), outcome: 'deny', requires: [] }
  const asking = hit.filter(rule => rule.effect === 'ask').filter(rule => !isMet(rule, context.approval))
  if (asking.length === 0) return { ...nothing, outcome: 'allow' }
  const requires = asking.map(({ id, quorum, groups, ownerMay }) => ({
    policy: id,
    quorum,
    groups,
    ownerMay,
  }))
  return { ...told(asking), outcome: 'needs_approval', requires }
}

/** As far as a rule can say it: who counts towards a requirement is counted by the broker. */
function isMet(
  { quorum, groups }: ScopeRule & { effect: 'ask' },
  approval: ApprovalFacts | undefined,
): boolean {
  if (approval === undefined || approval.count < quorum) return false
  return groups.length === 0 || groups.some(group => approval.groups.includes(group))
}

/** Nobody opens a plugin: there are no types, and all that there is stands in the files. */
export const noTypes: Pick<RegistryOptions, 'types' | 'openers'> = {
  types: { attestorTypes: [], issuerTypes: [] },
  openers: {
    attestor: () => {
      throw new Error('no attestor is opened in a simulation')
    },
    issuer: () => {
      throw new Error('no issuer is opened in a simulation')
    },
  },
}
