/** An attestor or issuer that a team registers: its type's own settings, and nothing of the broker's host. */
import type { Parsed, PluginInstance, Problem } from '../config.ts'
import { clashes, parseShape } from '../config.ts'
import { own } from './effective.ts'
import { openTeamInstance } from './installed.ts'
import { type Document, newResource, type Resource, resourceOf } from './resource.ts'
import { fingerprintOf, SECRET_PREFIX } from './secrets.ts'
import type { Parsing, WantedDocument } from './wanted.ts'

export function parseInstanceDocument(parsing: Parsing, wanted: WantedDocument): Parsed<Resource> {
  const { options, broker, state } = parsing
  const { kind, name, namespace, file } = wanted
  const { name: _, type, owner, description, ...declared } = file.value as Readonly<Record<string, unknown>>
  const granted = own(options.settings.namespaces, namespace)
  const grantedTypes = (kind === 'attestor' ? granted?.attestor_types : granted?.issuer_types) ?? []
  const types = kind === 'attestor' ? options.types.attestorTypes : options.types.issuerTypes
  const known = types.find(one => one.type === type)
  if (known === undefined || !grantedTypes.includes(known.type)) {
    const expected = `expected a type that ${namespace} may have: ${grantedTypes.join(', ') || 'it has none'}`
    return refused(file.problem(['type'], expected))
  }
  const problems: Problem[] = [
    ...wordProblems(wanted, { owner, description }),
    ...referenceProblems(parsing, wanted, declared),
  ]
  const settings = parseShape(file, known.settings, declared)
  if (!settings.ok) return { ok: false, problems: [...problems, ...settings.problems] }
  const lent = known.usesHost?.(settings.value)
  if (lent !== undefined)
    problems.push(file.problem([], `expected settings of the team's own: these use ${lent}`))
  problems.push(...audienceProblems(parsing, wanted, settings.value))
  if (problems.length > 0) return { ok: false, problems }

  const words = {
    ...(owner === undefined ? {} : { owner }),
    ...(description === undefined ? {} : { description }),
  }
  const secrets = fingerprints(parsing, wanted, declared)
  const resource = newResource(kind, name, { type, ...words, settings: declared, ...secrets } as Document)
  try {
    openTeamInstance(broker, state, resource, options)
  } catch (error) {
    // Its own words are about its settings, which the team wrote.
    const said = error instanceof Error ? error.message : 'it does not open'
    return refused(file.problem([], `expected settings that the type takes: ${said}`))
  }
  return { ok: true, value: resource }
}

const refused = (problem: Problem): Parsed<never> => ({ ok: false, problems: [problem] })

function wordProblems({ file }: WantedDocument, words: Readonly<Record<string, unknown>>): Problem[] {
  return Object.entries(words).flatMap(([key, value]) =>
    value === undefined || (typeof value === 'string' && /^\P{Cc}{1,500}$/u.test(value))
      ? []
      : [file.problem([key], 'expected one line of text')],
  )
}

/** Every file that settings name is an upload; a path of the broker's host is refused before anything is opened. */
function referenceProblems(parsing: Parsing, wanted: WantedDocument, declared: Document): Problem[] {
  const known = secretNames(parsing, wanted)
  return strings(declared).flatMap(({ path, value }) => {
    const isFile = /(^|_)(file|path|dir)$/.test(String(path.at(-1)))
    if (!value.startsWith(SECRET_PREFIX))
      return isFile
        ? [wanted.file.problem(path, 'expected secret:NAME: files of the broker’s host are not a team’s')]
        : []
    if (known.has(value.slice(SECRET_PREFIX.length))) return []
    return [wanted.file.problem(path, 'expected a secret that is uploaded with it, or was before')]
  })
}

/** Those uploaded now, and those that are there from before. */
function secretNames({ set, state }: Parsing, { kind, name }: WantedDocument): Set<string> {
  const before = state.secrets.filter(one => one.kind === kind && one.resource === name)
  const now = set.secrets.filter(one => one.kind === kind && one.resource === name)
  return new Set([...before, ...now].map(one => one.name))
}

/** Of the secrets that the settings speak of, and of no others: those go. */
function fingerprints(parsing: Parsing, { kind, name }: WantedDocument, declared: Document): Document {
  const { set, state, broker } = parsing
  const row = state.rows.get(`${kind}/${name}`)
  const before =
    row === undefined ? {} : ((resourceOf(row).document.secrets ?? {}) as Readonly<Record<string, string>>)
  const entries = strings(declared)
    .filter(({ value }) => value.startsWith(SECRET_PREFIX))
    .map(({ value }) => value.slice(SECRET_PREFIX.length))
    .map(secret => {
      const now = set.secrets.find(one => one.kind === kind && one.resource === name && one.name === secret)
      if (now === undefined) return [secret, before[secret] ?? '']
      return [secret, fingerprintOf(broker, { kind, resource: name, name: secret }, now.value)]
    })
  return entries.length === 0 ? {} : { secrets: Object.fromEntries(entries) }
}

type Leaf = { path: (string | number)[]; value: string }

function strings(value: unknown, path: (string | number)[] = []): Leaf[] {
  if (typeof value === 'string') return [{ path, value }]
  if (Array.isArray(value)) return value.flatMap((item, index) => strings(item, [...path, index]))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => strings(item, [...path, key]))
}

/**
 * Whom tokens are for, and whose evidence is taken. What a team signs is signed with the broker's own key, so that
 * every audience is granted to it by name; evidence that another attestor takes would not be its own.
 */
function audienceProblems(parsing: Parsing, wanted: WantedDocument, settings: unknown): Problem[] {
  const { options, state } = parsing
  const { kind, name, namespace, file } = wanted
  if (kind === 'issuer') {
    const granted = own(options.settings.namespaces, namespace)?.audiences ?? []
    const { audiences } = settings as { audiences?: unknown }
    if (!Array.isArray(audiences)) return []
    return audiences.flatMap((entry, index) =>
      granted.includes(String((entry as { audience?: unknown })?.audience))
        ? []
        : [
            file.problem(
              ['audiences', index],
              `expected an audience of ${namespace} (namespaces in mayfly.yaml)`,
            ),
          ],
    )
  }
  const others = [...state.rows.values()].filter(row => row.kind === 'attestor' && row.name !== name)
  const settingsOf = (row: (typeof others)[number]): PluginInstance['settings'] => {
    const { type, settings: declared } = resourceOf(row).document
    const parsed = options.types.attestorTypes.find(one => one.type === type)?.settings.safeParse(declared)
    return parsed?.success ? parsed.data : {}
  }
  const all = Object.fromEntries(others.map(row => [row.name, { settings: settingsOf(row) }]))
  const clash = clashes({ ...all, [name]: { settings } }).find(one => one.name === name)
  if (clash === undefined) return []
  return [
    file.problem(['audience'], 'expected an audience of its own: another attestor takes the same tokens'),
  ]
}
