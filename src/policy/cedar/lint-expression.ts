/** Cedar's expressions in JSON form (https://docs.cedarpolicy.com/policies/json-format.html), as lint reads them. */
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'

export type Expression = unknown

/**
 * What an expression names: `context.claims.ref`, `principal.riskTier`, `context.identity["actor"]` for a tag, or a
 * variable alone. Undefined for anything that is computed.
 */
export function pathOf(expression: Expression): string | undefined {
  const node = membersOf(expression)
  if (typeof node.Var === 'string') return node.Var
  const member = sides(node['.'])
  if (member !== undefined && typeof member.attr === 'string') {
    const before = pathOf(member.left)
    return before === undefined ? undefined : `${before}.${member.attr}`
  }
  const tag = sides(node.getTag)
  const name = tag === undefined ? undefined : literalOf(tag.right)
  const before = tag === undefined ? undefined : pathOf(tag.left)
  return before === undefined || typeof name !== 'string' ? undefined : `${before}["${name}"]`
}

export type Literal = string | number | boolean

/** A text, number or truth value; an entity as `Type::"id"`. Undefined for anything that is computed. */
export function literalOf(expression: Expression): Literal | undefined {
  const { Value: value } = membersOf(expression)
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  const entity = membersOf(value).__entity
  return entity === undefined ? undefined : entityText(entity as EntityRef)
}

export type EntityRef = { type: string; id: string }
export const entityText = ({ type, id }: EntityRef): string => `${type}::${JSON.stringify(id)}`

/** The texts in a set of literals; undefined where it holds anything else. */
export function literalsOf(expression: Expression): Literal[] | undefined {
  const { Set: items } = membersOf(expression)
  if (!Array.isArray(items)) return undefined
  const literals = items.map(literalOf)
  return literals.includes(undefined) ? undefined : (literals as Literal[])
}

export type Binary = { left: Expression; right: Expression }

/** The operator and operands of a binary expression or method call. */
export function binaryOf(expression: Expression): ({ operator: string } & Binary) | undefined {
  for (const [operator, operands] of Object.entries(membersOf(expression))) {
    const both = sides(operands)
    if (both !== undefined && 'right' in both) return { operator, left: both.left, right: both.right }
  }
  return undefined
}

/** Every expression in it, itself first. */
export function* within(expression: Expression): Generator<Expression> {
  if (typeof expression !== 'object' || expression === null) return
  yield expression
  for (const part of Object.values(expression)) yield* within(part)
}

/** Everything that a policy's conditions name. */
export function pathsIn({ conditions }: Pick<PolicyJson, 'conditions'>): Set<string> {
  const found = new Set<string>()
  for (const node of within(conditions)) {
    const path = pathOf(node)
    if (path !== undefined) found.add(path)
    const looked = sides(membersOf(node).has)
    const before = looked === undefined ? undefined : pathOf(looked.left)
    if (looked === undefined || before === undefined) continue
    const attributes = Array.isArray(looked.attr) ? looked.attr : [looked.attr]
    found.add([before, ...attributes].join('.'))
  }
  return found
}

/** One thing that is so (`holds`), or is not so, whenever the policy applies. */
export type Fact = { expression: Expression; holds: boolean }

export function factsOf({ conditions }: Pick<PolicyJson, 'conditions'>): Fact[] {
  return conditions.flatMap(({ kind, body }) => split(body, kind === 'when'))
}

function split(expression: Expression, holds: boolean): Fact[] {
  const node = membersOf(expression)
  const joined = sides(holds ? node['&&'] : node['||'])
  if (joined !== undefined) return [...split(joined.left, holds), ...split(joined.right, holds)]
  if (node['!'] !== undefined) return split(membersOf(node['!']).arg, !holds)
  return [{ expression, holds }]
}

type Sides = { left: Expression; right?: Expression; attr?: unknown; pattern?: unknown }

function sides(value: unknown): Sides | undefined {
  return typeof value === 'object' && value !== null && 'left' in value ? (value as Sides) : undefined
}

export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

/** The pattern of a `like`, as it is written; undefined for anything else. */
export function likeOf(expression: Expression): { path: string | undefined; pattern: string } | undefined {
  const like = sides(membersOf(expression).like)
  if (like === undefined || !Array.isArray(like.pattern)) return undefined
  const pattern = like.pattern.map(part => (part === 'Wildcard' ? '*' : String(membersOf(part).Literal)))
  return { path: pathOf(like.left), pattern: pattern.join('') }
}
