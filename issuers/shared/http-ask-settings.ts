/**
 * How the operator describes the asks of a remote issuer: a small part of JSON Schema, how each field is compared,
 * and what it means for policy. Plain data; `covers` and `facts` are made from it (http-ask.ts), since what decides
 * must not be asked of the remote side.
 */
import { z } from 'zod'

export const PHASES = ['read', 'propose', 'execute', 'deploy', 'transact'] as const

const CHARS = 512
const FIELDS = 32
const VALUES = 256

const fieldName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,62}$/, 'expected lower-case letters, digits and underscores')
  .refine(name => name !== 'type' && !(name in {}), 'expected another name')
const value = z.string().min(1).max(CHARS)
const count = z.int().min(0)
const described = { description: z.string().max(CHARS).optional() }

const text = z.strictObject({
  type: z.literal('string'),
  enum: z.array(value).min(1).max(VALUES).optional(),
  minLength: count.max(CHARS).optional(),
  maxLength: count.max(CHARS).optional(),
  ...described,
})
const field = z.discriminatedUnion('type', [
  text,
  z.strictObject({
    type: z.enum(['integer', 'number']),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    ...described,
  }),
  z.strictObject({ type: z.literal('boolean'), ...described }),
  z.strictObject({
    type: z.literal('array'),
    items: text,
    minItems: count.max(VALUES).optional(),
    maxItems: count.max(VALUES).optional(),
    ...described,
  }),
])
export type AskField = z.infer<typeof field>

/**
 * - `exact`: the same value.
 * - `subset`: of a list, no more than the ceiling's.
 * - `at_most`: a number no greater; or, of these words, least first, none beyond the ceiling's.
 * - `resolved`: an id that the remote side fills in: open in a ceiling, it stands for any.
 */
const comparison = z.union([
  z.enum(['exact', 'subset', 'at_most', 'resolved']),
  z.strictObject({ at_most: z.array(value).min(1).max(VALUES) }),
])

const rulesOf = <Value extends z.ZodType>(result: Value) =>
  z.array(z.strictObject({ field: fieldName, values: z.record(value, result) })).max(FIELDS)

export const askSettings = z
  .strictObject({
    schema: z.strictObject({
      type: z.literal('object'),
      properties: z
        .record(fieldName, field)
        .refine(all => Object.keys(all).length <= FIELDS, `expected at most ${FIELDS} properties`),
      required: z.array(fieldName).min(1, 'expected at least one required property'),
      additionalProperties: z.literal(false),
    }),
    compare: z.record(fieldName, comparison),
    facts: z.strictObject({
      /** What an ask touches: the fields with its name and, where there is one, with its id. */
      resources: z
        .array(
          z.strictObject({
            type: z.string().regex(/^[A-Z][A-Za-z0-9]{0,63}$/, 'expected a name that begins with a capital'),
            name: fieldName,
            id: fieldName.optional(),
          }),
        )
        .min(1)
        .max(8),
      /** Fields whose values are told as `field:value`. */
      permissions: z.array(fieldName).max(FIELDS).default([]),
      /** One for every ask, or by values; the furthest counts, and a value that is not listed is `transact`. */
      phase: z.union([z.enum(PHASES), rulesOf(z.enum(PHASES))]).default('transact'),
      /** The same; a value that is not listed may. */
      may_leave_access: z.union([z.boolean(), rulesOf(z.boolean())]).default(true),
    }),
  })
  .superRefine(({ schema, compare, facts }, context) => {
    const say = (message: string, path: (string | number)[]) =>
      context.addIssue({ code: 'custom', message, path })
    for (const name of Object.keys(compare))
      if (!Object.hasOwn(schema.properties, name)) say('expected one of the properties', ['compare', name])
    for (const name of schema.required)
      if (!Object.hasOwn(schema.properties, name))
        say(`${name} is none of the properties`, ['schema', 'required'])
    for (const [name, property] of Object.entries(schema.properties)) {
      const fault = unfit(property, compare[name])
      if (fault !== undefined) say(fault, ['compare', name])
    }
    const demand = (name: string, path: (string | number)[], mapped: boolean) => {
      const fault = unmappable(schema, compare, name, mapped)
      if (fault !== undefined) say(fault, ['facts', ...path])
    }
    for (const [index, { name, id }] of facts.resources.entries()) {
      demand(name, ['resources', index, 'name'], true)
      if (id !== undefined && compare[id] !== 'resolved')
        say('expected a field that is compared as `resolved`', ['facts', 'resources', index, 'id'])
    }
    for (const name of facts.permissions)
      if (!Object.hasOwn(schema.properties, name))
        say(`${name} is none of the properties`, ['facts', 'permissions'])
    for (const key of ['phase', 'may_leave_access'] as const) {
      const rules = facts[key]
      if (!Array.isArray(rules)) continue
      for (const [index, { field: name }] of rules.entries()) demand(name, [key, index, 'field'], true)
    }
  })

export type AskSettings = z.infer<typeof askSettings>
export type Comparison = AskSettings['compare'][string]

/** Why a field of this kind cannot be compared so. */
function unfit(property: AskField, compare: Comparison | undefined): string | undefined {
  if (compare === undefined) return 'expected how it is compared: every property has to say'
  if (compare === 'subset') return property.type === 'array' ? undefined : 'only a list has subsets'
  if (property.type === 'array') return 'a list is compared as `subset`'
  if (compare === 'exact') return undefined
  if (compare === 'resolved') return property.type === 'boolean' ? 'a boolean is no id' : undefined
  if (compare === 'at_most')
    return property.type === 'integer' || property.type === 'number'
      ? undefined
      : 'for a text, list its values: { at_most: [least, …, most] }'
  if (property.type !== 'string') return 'only texts have an order of their own'
  if (new Set(compare.at_most).size !== compare.at_most.length) return 'expected each value once'
  if (property.enum !== undefined && !sameValues(property.enum, compare.at_most))
    return 'expected the values of its enum, least first'
  return undefined
}

function sameValues(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every(one => b.includes(one))
}

/** What facts are made of is there in every ask, or a wider one could tell less than a narrower. */
function unmappable(
  { properties, required }: AskSettings['schema'],
  compare: AskSettings['compare'],
  name: string,
  mapped: boolean,
): string | undefined {
  const property = Object.hasOwn(properties, name) ? properties[name] : undefined
  if (property === undefined) return `${name} is none of the properties`
  if (!required.includes(name) || (property.type === 'array' && (property.minItems ?? 0) < 1))
    return `${name} has to be required, and a list has to have minItems of at least 1`
  if (mapped && compare[name] === 'resolved') return `${name} is not there before it is resolved`
  if (mapped && (property.type === 'integer' || property.type === 'number'))
    return `${name} is a number: facts are made of texts, lists and booleans`
  return undefined
}
