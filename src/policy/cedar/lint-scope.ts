/** Whom, what and on what a policy is about, by its head alone; and whether one head covers another. */
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Phase } from '../../../issuers/issuer.ts'
import { type EntityRef, entityText, membersOf } from './lint-expression.ts'
import { actionOf, PHASES } from './schema.ts'
import type { Vocabulary } from './vocabulary.ts'

export type AskAction = { issuer: string; phase: Phase }

/** The asks that a policy's head admits. */
export function askActionsOf({ action }: Pick<PolicyJson, 'action'>, { issuers }: Vocabulary): AskAction[] {
  const all = Object.keys(issuers).flatMap(issuer => PHASES.map(phase => ({ issuer, phase })))
  if (action.op === 'All') return all
  const named = entitiesOf(action).map(({ id }) => id)
  const isNamed = ({ issuer, phase }: AskAction) => {
    if (named.includes(actionOf(issuer, phase))) return true
    return action.op === 'in' && ['*:*', `*:${phase}`, `${issuer}:*`].some(group => named.includes(group))
  }
  return all.filter(isNamed)
}

type Head = PolicyJson['principal'] | PolicyJson['action'] | PolicyJson['resource']

/** Entities that a head names, in any of its forms. */
export function entitiesOf(head: Head): EntityRef[] {
  const { entity, entities, in: within } = membersOf(head)
  const inside = membersOf(within).entity
  return [entity, inside, ...(Array.isArray(entities) ? entities : [])].filter(
    (one): one is EntityRef => typeof membersOf(one).id === 'string',
  )
}

/** Whether whatever fits `narrow`'s head fits `wide`'s, as far as the heads alone show it. */
export function headCovers(wide: PolicyJson, narrow: PolicyJson, vocabulary: Vocabulary): boolean {
  const covered = askActionsOf(wide, vocabulary).map(({ issuer, phase }) => actionOf(issuer, phase))
  const wanted = askActionsOf(narrow, vocabulary)
  return (
    wanted.length > 0 &&
    wanted.every(({ issuer, phase }) => covered.includes(actionOf(issuer, phase))) &&
    partCovers(wide.principal, narrow.principal) &&
    partCovers(wide.resource, narrow.resource)
  )
}

function partCovers(wide: Head, narrow: Head): boolean {
  if (wide.op === 'All') return true
  const [ofWide, ofNarrow] = [membersOf(wide), membersOf(narrow)]
  const named = (head: Head) => entitiesOf(head).map(entityText).join()
  if (wide.op === narrow.op && ofWide.entity_type === ofNarrow.entity_type && named(wide) === named(narrow))
    return true
  // `is T` covers what is a T and more: a T by name, or a T within something.
  if (wide.op !== 'is' || ofWide.in !== undefined) return false
  if (narrow.op === 'is') return ofNarrow.entity_type === ofWide.entity_type
  return narrow.op === '==' && entitiesOf(narrow).every(({ type }) => type === ofWide.entity_type)
}
