/** The named attestors and issuers of mayfly.yaml, each against the settings schema of its type. */
import type { z } from 'zod'
import type { AttestorType } from '../../attestors/attestor.ts'
import { type Parsed, parseShape } from './parse-shape.ts'
import type { Problem } from './problem.ts'
import type { PluginInstance, SettingsShape } from './settings.ts'
import type { YamlFile } from './yaml-file.ts'

export function parseInstances(
  file: YamlFile,
  section: 'attestors' | 'issuers',
  shapes: SettingsShape['attestors'],
  types: readonly { type: string; settings: z.ZodType; rules?: AttestorType['rules'] }[],
): Parsed<Record<string, PluginInstance>> {
  const problems: Problem[] = []
  const instances: Record<string, PluginInstance> = {}
  for (const [name, { type, owner, description, ...rest }] of Object.entries(shapes)) {
    const known = types.find(candidate => candidate.type === type)
    if (known === undefined) {
      const names = types.map(candidate => candidate.type).join(', ')
      const expected = `expected one of the known types: ${names}`
      problems.push(
        file.problem([section, name, 'type'], expected, 'Correct it, or name its module in plugins'),
      )
      continue
    }
    const settings = parseShape(file, known.settings, rest, [section, name])
    if (!settings.ok) {
      problems.push(...settings.problems)
      continue
    }
    instances[name] = {
      type,
      ...(owner === undefined ? {} : { owner }),
      ...(description === undefined ? {} : { description }),
      settings: settings.value,
      declared: rest,
      ...rulesOf(known.rules, settings.value),
    }
  }
  if (section === 'attestors') {
    const expected = (earlier: string) => `expected an audience of its own: ${earlier} takes the same tokens`
    for (const { name, earlier } of clashes(instances))
      problems.push(file.problem([section, name, 'audience'], expected(earlier), TELL_APART))
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: instances }
}

/** For an instance to be spread into. */
export function rulesOf(
  rules: AttestorType['rules'] | undefined,
  settings: unknown,
): Pick<PluginInstance, 'rules' | 'posture'> {
  if (rules === undefined) return {}
  const facts = rules(settings)
  return { rules: facts, ...(facts.posture === undefined ? {} : { posture: facts.posture }) }
}

const TELL_APART = 'Use one of the two, or tell them apart'

/** Evidence goes to one attestor, by its trust root and audience; two that have both would take each other's. */
export function clashes(
  attestors: Readonly<Record<string, Pick<PluginInstance, 'settings'>>>,
): { name: string; earlier: string }[] {
  const seen = new Map<string, string>()
  return Object.entries(attestors).flatMap(([name, { settings }]) => {
    const { issuer, trust_domain, audience } = settings as Readonly<Record<string, unknown>>
    const root = issuer ?? trust_domain
    if (typeof root !== 'string' || typeof audience !== 'string') return []
    const key = JSON.stringify([root, audience])
    const earlier = seen.get(key)
    seen.set(key, name)
    return earlier === undefined ? [] : [{ name, earlier }]
  })
}
