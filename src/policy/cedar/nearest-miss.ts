/**
 * Why nothing permitted it: the permits that came closest, and which of their parts did not hold. Each part
 * becomes a policy of its own, and Cedar says in one evaluation which of them hold.
 */

import type { Expr, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { LIMITS } from '../../limits.ts'
import type { PolicyRequest } from '../facts.ts'
import { type CallOptions, cedarCall } from './cedar-call.ts'
import type { CompiledPolicy, CompiledSet } from './compile.ts'
import { policiesFor } from './slice.ts'

/** At most so many permits, and parts of all of them together: a denial must stay cheap. */
const PERMITS = 64
const PARTS = 256

/** `name: not when …`, closest first. Empty where no permit is about this action at all. */
export function nearestMisses(set: CompiledSet, request: PolicyRequest, options: CallOptions): string[] {
  const permits = policiesFor(set, request.issuer, request.phase)
    .filter(({ effect }) => effect === 'permit')
    .slice(0, PERMITS)
  const parts = permits.flatMap(partsOf).slice(0, PARTS)
  const missed = parts.length === 0 ? [] : missedOf(parts, cedarCall(request, set.vocabulary, options))
  return permits
    .map(({ id }) => ({ id, misses: missed.filter(part => part.permit === id) }))
    .filter(({ misses }) => misses.length > 0)
    .sort((a, b) => distance(a.misses) - distance(b.misses))
    .slice(0, LIMITS.policyNearest)
    .map(({ id, misses }) => `${id}: ${misses.map(describe).join('; ')}`.slice(0, LIMITS.detailChars))
}

/** A permit for somebody else, or something else, is further off than one whose conditions are not met. */
const distance = (misses: readonly Part[]) =>
  misses.reduce((sum, { what }) => sum + (what === 'when' || what === 'unless' ? 1 : 8), 0)

type Part = {
  permit: string
  what: 'principal' | 'action' | 'resource' | 'when' | 'unless'
  json: PolicyJson
}

const ANYTHING = {
  effect: 'permit',
  principal: { op: 'All' },
  action: { op: 'All' },
  resource: { op: 'All' },
  conditions: [],
} as const satisfies PolicyJson

function partsOf({ id, json }: CompiledPolicy): Part[] {
  const { principal, resource, conditions } = json
  const part = (what: Part['what'], narrower: Partial<PolicyJson>): Part => ({
    ...{ permit: id, what },
    json: { ...ANYTHING, ...narrower },
  })
  return [
    ...(principal.op === 'All' ? [] : [part('principal', { principal })]),
    ...(resource.op === 'All' ? [] : [part('resource', { resource })]),
    ...conditions.flatMap(({ kind, body }) =>
      (kind === 'when' ? conjuncts(body) : [body]).map(one =>
        part(kind, { conditions: [{ kind, body: one }] }),
      ),
    ),
  ]
}

function conjuncts(body: Expr): Expr[] {
  if (!('&&' in body)) return [body]
  const { left, right } = (body as { '&&': { left: Expr; right: Expr } })['&&']
  return [...conjuncts(left), ...conjuncts(right)]
}

/** Those that do not hold, or cannot be evaluated. */
function missedOf(parts: readonly Part[], call: ReturnType<typeof cedarCall>): Part[] {
  const staticPolicies = Object.fromEntries(parts.map(({ json }, index) => [`part${index}`, json]))
  const answer = cedar.isAuthorized({ ...call, policies: { staticPolicies } })
  if (answer.type === 'failure') return []
  const holding = new Set(answer.response.diagnostics.reason)
  return parts.filter((_, index) => !holding.has(`part${index}`))
}

function describe({ what, json }: Part): string {
  const answer = cedar.policyToText(json)
  if (answer.type === 'failure') return `its ${what} differs`
  const text = answer.text.replaceAll(/\s+/g, ' ')
  if (what === 'when' || what === 'unless')
    return `not ${text.slice(text.indexOf(`) ${what}`) + 2).replace(/;$/, '')}`
  const scope = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')).split(', ')
  return `not ${scope.find(one => one.startsWith(what)) ?? what}`
}
