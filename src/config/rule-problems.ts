/** An agent's rules against the attestors they name: what could never match, and what would match a stranger. */
import type { RuleFacts } from '../../attestors/attestor.ts'
import type { AgentShape } from './agent-shape.ts'
import { oneOf, type Problem } from './problem.ts'
import type { Settings } from './settings.ts'
import type { YamlFile } from './yaml-file.ts'

type Rule = AgentShape['attest'][number]

export function ruleProblems(file: YamlFile, shape: AgentShape, attestors: Settings['attestors']): Problem[] {
  return shape.attest.flatMap((rule, index) => {
    const attestor = Object.hasOwn(attestors, rule.attestor) ? attestors[rule.attestor] : undefined
    if (attestor === undefined) {
      return [file.problem(['attest', index, 'attestor'], oneOf('attestors', Object.keys(attestors)))]
    }
    const stated = statedProblems(file, rule, index, attestors)
    const facts = attestor.rules
    if (facts === undefined) return stated
    if (facts.posture)
      return [
        file.problem(
          ['attest', index, 'attestor'],
          `expected an attestor of identities: ${rule.attestor} says where a workload runs; name its claims as ${rule.attestor}.CLAIM`,
        ),
      ]
    return [
      ...humanProblems(file, shape, index, facts),
      ...stated,
      ...claimProblems(file, rule, index, facts),
      ...chosenProblems(file, rule, index, facts),
      ...pinProblems(file, rule, index, facts),
    ]
  })
}

/**
 * Claims of statements about surroundings (`sandbox.network`), in a rule of whatever attestor. Nobody else may say
 * what such an attestor says, so that a claim which it does not say would wait for ever.
 */
function statedProblems(
  file: YamlFile,
  rule: Rule,
  index: number,
  attestors: Settings['attestors'],
): Problem[] {
  return Object.entries(attestors).flatMap(([name, { rules: facts, posture }]) => {
    if (posture !== true || facts === undefined) return []
    const claimTypes = Object.fromEntries(
      Object.entries(facts.claimTypes).map(([claim, type]) => [`${name}.${claim}`, type]),
    )
    const unknown = Object.keys(rule.claims).filter(
      claim => claim.startsWith(`${name}.`) && !Object.hasOwn(claimTypes, claim),
    )
    return [
      ...unknown.map(claim =>
        file.problem(['attest', index, 'claims', claim], oneOf(`claims of ${name}`, Object.keys(claimTypes))),
      ),
      ...claimProblems(file, { ...rule, attestor: name }, index, { claimTypes }),
    ]
  })
}

/** A process of a human acts for them, or does nothing: an agent that may act for nobody is never opened so. */
function humanProblems(file: YamlFile, shape: AgentShape, index: number, facts: RuleFacts): Problem[] {
  if (facts.human === undefined || shape.may_act_for !== undefined) return []
  const expected = 'expected may_act_for.groups beside it: this attestor proves processes of humans'
  return [
    file.problem(['attest', index, 'attestor'], expected, 'Say for the humans of which groups it may act'),
  ]
}

/** What may be given to somebody else, as names are, does not say who it is. */
function pinProblems(file: YamlFile, { claims, subject }: Rule, index: number, facts: RuleFacts): Problem[] {
  const { pinnedBy } = facts
  if (pinnedBy === undefined) return []
  const { claims: ids, subject: told, remedy } = pinnedBy
  if (ids.some(id => Object.hasOwn(claims, id))) return []
  if (told !== undefined && subject?.every(one => told.form.test(one))) return []
  const named = ids.length === 0 ? [] : [`${ids.join(' or ')} among the claims`]
  const subjects = told === undefined ? [] : [`subjects like ${told.example}`]
  return [file.problem(['attest', index], `expected ${[...named, ...subjects].join(', or ')}`, remedy)]
}

/** What the caller chooses proves nothing of the caller. */
function chosenProblems(file: YamlFile, { claims }: Rule, index: number, facts: RuleFacts): Problem[] {
  return Object.entries(facts.callerChosen ?? {}).flatMap(([claim, beside]) => {
    if (!Object.hasOwn(claims, claim) || (beside !== null && Object.hasOwn(claims, beside))) return []
    const expected =
      beside === null
        ? `expected other claims: whoever asks for the token chooses ${claim}`
        : `expected ${beside} beside it: without it, whoever starts the work chooses ${claim}`
    return [file.problem(['attest', index, 'claims', claim], expected)]
  })
}

/** 42 and "42" never stand for each other, so a value of another type would wait for ever. */
function claimProblems(file: YamlFile, rule: Rule, index: number, facts: RuleFacts): Problem[] {
  return Object.entries(rule.claims).flatMap(([claim, values]) => {
    const declared = Object.hasOwn(facts.claimTypes, claim) ? facts.claimTypes[claim] : undefined
    if (declared === undefined || declared === 'string_list') return []
    const type = declared === 'integer' ? 'number' : declared
    const key = ['attest', index, 'claims', claim]
    return values.flatMap((value, place) => {
      if (typeof value === type) return []
      const remedy = type === 'string' ? 'Put it in quotes' : undefined
      const expected = `expected ${WORDS[type]}: that is what attestor ${rule.attestor} takes ${claim} for`
      return [file.problem(values.length === 1 ? key : [...key, place], expected, remedy)]
    })
  })
}

const WORDS = { string: 'text', number: 'a whole number', boolean: 'true or false' } as const
