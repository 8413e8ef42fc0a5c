/**
 * Makes openapi.json, the part of GitHub's published description that the stand-in is judged by:
 *
 *     node test/fakes/github/make-openapi.ts
 *
 * Takes @octokit/openapi out of the npm registry, keeps the operations listed in operations.ts with the schemas
 * they reach, and drops what does not judge (descriptions, examples, error bodies).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { operationIds } from './operations.ts'

const source = '@octokit/openapi@23.0.2'
const file = 'package/generated/api.github.com.json'

type Json = null | boolean | number | string | Json[] | JsonObject
type JsonObject = { [key: string]: Json }

main()

function main(): void {
  const whole = download()
  const paths: JsonObject = {}
  for (const [path, item] of Object.entries(object(whole.paths))) {
    for (const [method, operation] of Object.entries(object(item))) {
      const id = object(operation).operationId
      if (typeof id !== 'string' || !(operationIds as readonly string[]).includes(id)) continue
      paths[path] = { ...object(paths[path] ?? {}), [method]: cutOperation(whole, object(operation)) }
    }
  }
  correct(paths)
  const schemas = reachable(whole, paths)
  object(schemas['app-permissions']).additionalProperties = false
  const info = object(whole.info)
  const cut = {
    openapi: whole.openapi,
    info: { title: info.title, version: info.version, license: info.license, 'x-cut-from': source },
    paths,
    components: { schemas },
  }
  writeFileSync(new URL('./openapi.json', import.meta.url), `${JSON.stringify(cut)}\n`)
}

function download(): JsonObject {
  const folder = mkdtempSync(join(tmpdir(), 'github-openapi-'))
  try {
    execFileSync('npm', ['pack', source, '--silent', '--pack-destination', folder])
    execFileSync('sh', ['-c', `tar -xzf *.tgz ${file}`], { cwd: folder })
    return JSON.parse(readFileSync(join(folder, file), 'utf8'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function cutOperation(whole: JsonObject, operation: JsonObject): JsonObject {
  const cut: JsonObject = { operationId: operation.operationId ?? null }
  cut.parameters = array(operation.parameters ?? []).map(parameter => {
    const { name, in: place, required, schema } = follow(whole, object(parameter))
    return { name: name!, in: place!, required: required ?? false, schema: cutSchema(schema!) }
  })
  if (operation.requestBody !== undefined) {
    const { required, content } = follow(whole, object(operation.requestBody))
    cut.requestBody = { required: required ?? false, content: cutContent(object(content!)) }
  }
  cut.responses = Object.fromEntries(
    Object.entries(object(operation.responses!)).map(([code, response]) => {
      const { content } = follow(whole, object(response))
      const judged = code.startsWith('2') && content !== undefined
      return [code, judged ? { content: cutContent(object(content)) } : {}]
    }),
  )
  return cut
}

function cutContent(content: JsonObject): JsonObject {
  const { schema } = object(content['application/json'] ?? {})
  return schema === undefined ? {} : { 'application/json': { schema: cutSchema(schema) } }
}

/** Drops what does not judge, and rewrites OpenAPI 3.0's `nullable` to JSON Schema. */
function cutSchema(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(cutSchema)
  if (schema === null || typeof schema !== 'object') return schema
  const cut: JsonObject = {}
  for (const [key, value] of Object.entries(schema)) {
    if (/^(description|example|examples|title|externalDocs|readOnly|default|nullable|x-.*)$/.test(key))
      continue
    cut[key] =
      key === 'properties' || key === 'patternProperties'
        ? Object.fromEntries(Object.entries(object(value)).map(([name, inner]) => [name, cutSchema(inner)]))
        : key === 'required'
          ? array(value).filter(name => !isDeprecated(schema, String(name)))
          : key === 'enum'
            ? value
            : cutSchema(value)
  }
  return schema.nullable === true ? { anyOf: [cut, { type: 'null' }] } : cut
}

/** REST version 2026-03-10 leaves out what is required in 2022-11-28 and deprecated. */
function isDeprecated(schema: JsonObject, name: string): boolean {
  const property = object(schema.properties ?? {})[name]
  return property !== undefined && object(property).deprecated === true
}

/** Every component schema that is referred to, from the operations on. */
function reachable(whole: JsonObject, paths: JsonObject): JsonObject {
  const all = object(object(whole.components!).schemas!)
  const schemas: JsonObject = {}
  const open = references(paths)
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (name in schemas) continue
    const schema = cutSchema(all[name]!)
    schemas[name] = schema
    open.push(...references(schema))
  }
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function references(value: Json): string[] {
  const found = JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)
  return Array.from(found, match => match[1]!)
}

/**
 * Where GitHub's description differs from GitHub: an unknown permission name (above) and an unknown key of a mint
 * are refused, and a list of installations holds installations, whose account is a user or an enterprise, not both.
 */
function correct(paths: JsonObject): void {
  const mint = object(object(paths['/app/installations/{installation_id}/access_tokens']).post)
  jsonContent(mint.requestBody).additionalProperties = false
  const list = object(object(paths['/app/installations']).get)
  jsonContent(object(list.responses)['200']).items = { $ref: '#/components/schemas/installation' }
}

function jsonContent(carrier: Json | undefined): JsonObject {
  return object(object(object(object(carrier).content)['application/json']).schema)
}

function follow(whole: JsonObject, value: JsonObject): JsonObject {
  if (typeof value.$ref !== 'string') return value
  return value.$ref
    .slice(2)
    .split('/')
    .reduce<JsonObject>((at, key) => object(at[key]), whole)
}

function object(value: Json | undefined): JsonObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('not an object')
  return value
}

function array(value: Json): Json[] {
  if (!Array.isArray(value)) throw new Error('not an array')
  return value
}
