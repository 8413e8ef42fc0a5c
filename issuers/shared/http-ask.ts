/** Asks of a remote issuer: parsed, compared and told to policy as its settings describe them. Pure. */
import { z } from 'zod'
import type { AskFacts, Phase } from '../issuer.ts'
import { type AskField, type AskSettings, type Comparison, PHASES } from './http-ask-settings.ts'

export type HttpAskValue = string | number | boolean | readonly string[]
export type HttpAsk = { readonly [field: string]: HttpAskValue }

export type HttpAskRules = {
  ask: z.ZodType<HttpAsk>
  covers(ceiling: HttpAsk, wanted: HttpAsk): boolean
  couldCover(ceiling: HttpAsk, wanted: HttpAsk): boolean
  facts(ask: HttpAsk): AskFacts
}

export function httpAskRules(settings: AskSettings): HttpAskRules {
  const fields = Object.entries(settings.compare)
  const coveredBy = (ceiling: HttpAsk, wanted: HttpAsk, isOpen: boolean) =>
    fields.every(([name, how]) => allows(how, ceiling[name], wanted[name], isOpen))
  return {
    ask: askSchema(settings),
    covers: (ceiling, wanted) => coveredBy(ceiling, wanted, false),
    couldCover: (ceiling, wanted) => coveredBy(ceiling, wanted, true),
    facts: ask => factsOf(settings, ask),
  }
}

/** One line, nothing that drives a terminal: values are shown to people. */
const PRINTABLE = /^\P{Cc}*$/u
const LONGEST_TEXT = 512
const LONGEST_LIST = 256

function askSchema({ schema, compare }: AskSettings): z.ZodType<HttpAsk> {
  const properties = Object.fromEntries(
    Object.entries(schema.properties).map(([name, property]) => [name, bounded(property, compare[name])]),
  )
  const parsed = z.fromJSONSchema({ ...schema, properties })
  return parsed
    .refine(ask => textsOf(ask as HttpAsk).every(text => PRINTABLE.test(text)), 'expected printable texts')
    .transform(ask => canonical(ask as HttpAsk))
}

/** What its author left open is closed: a text has an end, and is not empty. */
function bounded(property: AskField, how: Comparison | undefined): Record<string, unknown> {
  if (property.type === 'array') {
    const { minItems = 0, maxItems = LONGEST_LIST, items } = property
    return { type: 'array', items: bounded(items, undefined), minItems, maxItems }
  }
  if (property.type !== 'string') return { ...property }
  if (typeof how === 'object') return { type: 'string', enum: how.at_most }
  const { minLength = 1, maxLength = LONGEST_TEXT } = property
  const { enum: values } = property
  if (values !== undefined) return { type: 'string', enum: values }
  return { type: 'string', minLength: Math.max(1, minLength), maxLength }
}

function textsOf(ask: HttpAsk): string[] {
  return Object.values(ask).flatMap(value =>
    typeof value === 'string' ? [value] : Array.isArray(value) ? value : [],
  )
}

/** One spelling for each ask: lists sorted and without repeats, no negative zero. */
function canonical(ask: HttpAsk): HttpAsk {
  const one = (value: HttpAskValue): HttpAskValue => {
    if (typeof value === 'object') return [...new Set(value)].sort()
    return value === 0 ? 0 : value
  }
  return Object.fromEntries(
    Object.entries(ask)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, one(value)]),
  )
}

/** @param isOpen whether what `resolve` may still fill in counts as covered */
function allows(
  how: Comparison,
  ceiling: HttpAskValue | undefined,
  wanted: HttpAskValue | undefined,
  isOpen: boolean,
): boolean {
  if (how === 'subset') return listOf(wanted).every(one => listOf(ceiling).includes(one))
  if (how === 'resolved' && (ceiling === undefined || (isOpen && wanted === undefined))) return true
  if (ceiling === undefined || wanted === undefined || how === 'exact' || how === 'resolved')
    return ceiling === wanted
  if (how === 'at_most') return wanted <= ceiling
  const place = (value: HttpAskValue) => how.at_most.indexOf(String(value))
  return place(wanted) <= place(ceiling)
}

const listOf = (value: HttpAskValue | undefined): readonly string[] =>
  typeof value === 'object' ? value : []

function factsOf({ compare, facts }: AskSettings, ask: HttpAsk): AskFacts {
  const valuesOf = (name: string) => wordsOf(ask[name])
  return {
    phase: phaseOf(facts.phase, compare, valuesOf),
    resources: facts.resources.flatMap(({ type, name, id }) =>
      valuesOf(name).map(one => ({
        type,
        id: (id === undefined ? undefined : wordsOf(ask[id])[0]) ?? one,
        name: one,
        parents: [],
      })),
    ),
    permissions: facts.permissions.flatMap(name => valuesOf(name).map(one => `${name}:${one}`)),
    mayLeaveAccess: mayLeaveAccess(facts.may_leave_access, compare, valuesOf),
  }
}

function wordsOf(value: HttpAskValue | undefined): readonly string[] {
  if (value === undefined) return []
  return typeof value === 'object' ? value : [String(value)]
}

type ValuesOf = (field: string) => readonly string[]

function phaseOf(
  rules: AskSettings['facts']['phase'],
  compare: AskSettings['compare'],
  valuesOf: ValuesOf,
): Phase {
  if (!Array.isArray(rules)) return rules
  const reached = rules.flatMap(({ field, values }) =>
    valuesOf(field)
      .flatMap(value => upTo(compare[field], value))
      .map(value => PHASES.indexOf(values[value] ?? 'transact')),
  )
  return PHASES[reached.length === 0 ? PHASES.length - 1 : Math.max(...reached)] ?? 'transact'
}

function mayLeaveAccess(
  rules: AskSettings['facts']['may_leave_access'],
  compare: AskSettings['compare'],
  valuesOf: ValuesOf,
): boolean {
  if (!Array.isArray(rules)) return rules
  if (rules.length === 0) return true
  return rules.some(({ field, values }) =>
    valuesOf(field)
      .flatMap(value => upTo(compare[field], value))
      .some(value => values[value] ?? true),
  )
}

/** Who may have a value of an order may have all before it. */
function upTo(how: Comparison | undefined, value: string): readonly string[] {
  if (typeof how !== 'object') return [value]
  return how.at_most.slice(0, how.at_most.indexOf(value) + 1)
}
