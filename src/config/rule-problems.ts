/** An agent's rules against the attestors they name: what could never match, and what would match a stranger. */
import type { AgentShape } from './agent-shape.ts'
import { oneOf, type Problem } from './problem.ts'
import type { PluginInstance, Settings } from './settings.ts'
import type { YamlFile } from './yaml-file.ts'

type Rule = AgentShape['attest'][number]

export function ruleProblems(file: YamlFile, shape: AgentShape, attestors: Settings['attestors']): Problem[] {
  return shape.attest.flatMap((rule, index) => {
    const attestor = Object.hasOwn(attestors, rule.attestor) ? attestors[rule.attestor] : undefined
    if (attestor === undefined) {
      return [file.problem(['attest', index, 'attestor'], oneOf('attestors', Object.keys(attestors)))]
    }
    const problems = claimProblems(file, rule, index, attestor)
    if (attestor.type !== 'github-actions' || isPinned(rule)) return problems
    return [
      ...problems,
      file.problem(
        ['attest', index],
        'expected repository_id or repository_owner_id among the claims, or subjects that carry both ids (repo:OWNER@ID/REPO@ID:…)',
        'Find the id: gh api repos/OWNER/REPO --jq .id',
      ),
    ]
  })
}

/** The form of `sub` whose ids the attestor holds to the claims. */
const SUBJECT_WITH_IDS = /^repo:[^/@:]+@[1-9]\d*\/[^/@:]+@[1-9]\d*(?::|$)/

/** Names are given again after a rename or a deletion; without an id the next owner would match. */
function isPinned({ claims, subject }: Rule): boolean {
  if (Object.hasOwn(claims, 'repository_id') || Object.hasOwn(claims, 'repository_owner_id')) return true
  return subject?.every(one => SUBJECT_WITH_IDS.test(one)) ?? false
}

/** 42 and "42" never stand for each other, so a value of another type would wait for ever. */
function claimProblems(file: YamlFile, rule: Rule, index: number, attestor: PluginInstance): Problem[] {
  return Object.entries(rule.claims).flatMap(([claim, values]) => {
    const type = claimType(attestor, claim)
    if (type === undefined) return []
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

/** Of the built-in types; what a claim of another is, only its module knows. */
function claimType({ type, settings }: PluginInstance, claim: string): keyof typeof WORDS | undefined {
  if (type === 'github-actions' || type === 'spiffe-jwt') return 'string'
  if (type !== 'oidc') return undefined
  const declared = (settings as { claims?: Readonly<Record<string, string>> }).claims?.[claim]
  if (declared === 'integer') return 'number'
  if (declared === 'boolean') return 'boolean'
  return declared === 'string' || declared === 'json' ? 'string' : undefined
}
