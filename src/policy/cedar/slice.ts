/**
 * The policies that can have a say in one action, as Cedar holds them. Cedar looks at every policy it is given, so
 * that a set of hundreds costs several times what the few that matter cost.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { Phase } from '../../../issuers/issuer.ts'
import type { CompiledPolicy, CompiledSet } from './compile.ts'
import { actionOf, groupsOf } from './schema.ts'

/**
 * The name under which Cedar holds them. It says the set by its hash, so it never comes to mean another.
 * @throws Error where Cedar does not take what it took when the set was compiled
 */
export function sliceOf(set: CompiledSet, issuer: string, phase: Phase): string {
  const action = actionOf(issuer, phase)
  const known = Object.hasOwn(set.vocabulary.issuers, issuer)
  // An action that the schema does not have is refused by the schema, whatever the policies are.
  const name = `policies ${set.hash} ${known ? action : ''}`
  if (set.slices.has(name)) return name
  const policies = known ? policiesFor(set, issuer, phase) : []
  const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]))
  const answer = cedar.preparsePolicySet(name, { staticPolicies })
  if (answer.type === 'failure') throw new Error('a policy that was compiled does not parse')
  set.slices.add(name)
  return name
}

export function policiesFor(set: CompiledSet, issuer: string, phase: Phase): CompiledPolicy[] {
  const reached = new Set([actionOf(issuer, phase), ...groupsOf(issuer, phase)])
  return set.policies.filter(({ json: { action } }) => {
    if (action.op === 'All') return true
    const named = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : undefined
    // A constraint of another form is left to Cedar.
    return named?.some(entity => reached.has('id' in entity ? entity.id : entity.__entity.id)) ?? true
  })
}
