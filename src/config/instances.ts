/** The named attestors and issuers of mayfly.yaml, each against the settings schema of its type. */
import type { z } from 'zod'
import { type Parsed, parseShape } from './parse-shape.ts'
import type { Problem } from './problem.ts'
import type { PluginInstance, SettingsShape } from './settings.ts'
import type { YamlFile } from './yaml-file.ts'

export function parseInstances(
  file: YamlFile,
  section: 'attestors' | 'issuers',
  shapes: SettingsShape['attestors'],
  types: readonly { type: string; settings: z.ZodType }[],
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
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: instances }
}
