/**
 * Routes a request to one operation of GitHub's published description, and judges its path, query and body by
 * the operation's schemas.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { GithubRefusal, invalidRequest, notFound } from './answer.ts'
import description from './openapi.json' with { type: 'json' }
import type { OperationId } from './operations.ts'

type Parameter = { name: string; in: string; required: boolean; schema: object }
type Content = { content?: { 'application/json'?: { schema: object } } }
type Operation = {
  operationId: OperationId
  parameters: Parameter[]
  requestBody?: Content
  responses: Record<string, Content>
}

/** One request's way into the description: which operation, and the path's segments by name, not decoded further. */
export type Match = { operationId: OperationId; path: Record<string, string> }

/** The request as its operation's schemas see it: numbers in path and query are numbers. */
export type Judged = { params: Record<string, string | number>; body: Record<string, unknown> }

export type SchemaJudge = {
  /** @returns undefined where no operation has that method and path */
  match(method: string, pathname: string): Match | undefined
  /** @throws GithubRefusal 400 for a body that is not JSON, 422 for one that the schema refuses */
  judgeRequest(match: Match, query: URLSearchParams, bodyText: string): Judged
  /** Every way in which an answer is not what GitHub describes; for the stand-in's own test. */
  judgeAnswer(operationId: OperationId, status: number, body: unknown): string[]
}

type Route = {
  method: string
  pattern: RegExp
  names: string[]
  operation: Operation
  /** Compiled when first asked for: a simulation makes many stand-ins, and calls few operations of each. */
  params: () => ValidateFunction
  body: (() => ValidateFunction) | undefined
  answers: Map<number, () => ValidateFunction>
}

const documentId = 'github'

export function createSchemaJudge(): SchemaJudge {
  const ajv = new Ajv({ strict: false, validateSchema: false, allErrors: true, logger: false })
  addFormats.default(ajv)
  ajv.addSchema(description, documentId)
  const coercing = new Ajv({
    strict: false,
    validateSchema: false,
    allErrors: true,
    coerceTypes: true,
    logger: false,
  })
  const routes = Object.entries(description.paths).flatMap(([template, item]) =>
    Object.entries(item).map(([method, operation]) =>
      // The import's inferred type is a union of every operation's own shape; Operation is what they share.
      createRoute(ajv, coercing, template, method, operation as unknown as Operation),
    ),
  )
  const byId = new Map(routes.map(route => [route.operation.operationId, route]))
  return {
    match: (method, pathname) => matchRoute(routes, method, pathname),
    judgeRequest(match, query, bodyText) {
      const route = byId.get(match.operationId)!
      return { params: judgeParams(route, match.path, query), body: judgeBody(route, bodyText) }
    },
    judgeAnswer(operationId, status, body) {
      const route = byId.get(operationId)!
      if (!(String(status) in route.operation.responses)) return [`status ${status} is not described`]
      const validate = route.answers.get(status)?.()
      return validate === undefined || validate(body) ? [] : validate.errors!.map(tell)
    },
  }
}

function createRoute(ajv: Ajv, coercing: Ajv, template: string, method: string, operation: Operation): Route {
  const names = Array.from(template.matchAll(/\{(\w+)\}/g), match => match[1]!)
  const segments = template
    .replace('/contents/{path}', '(?:/contents/(.*)|/contents())')
    .replace(/\{\w+\}/g, '([^/]+)')
  const parameters = operation.parameters.filter(parameter => parameter.in !== 'header')
  const pointer = `${documentId}#/paths/${template.replaceAll('/', '~1')}/${method}`
  const schemaAt = (at: string) =>
    once(() => ajv.compile({ $ref: `${pointer}/${at}/content/application~1json/schema` }))
  return {
    method: method.toUpperCase(),
    pattern: new RegExp(`^${segments}$`),
    names,
    operation,
    params: once(() =>
      coercing.compile({
        type: 'object',
        properties: Object.fromEntries(parameters.map(({ name, schema }) => [name, schema])),
        // A parameter may refer to one of these.
        components: description.components,
      }),
    ),
    body: operation.requestBody === undefined ? undefined : schemaAt('requestBody'),
    answers: new Map(
      Object.entries(operation.responses)
        .filter(([, response]) => response.content?.['application/json'] !== undefined)
        .map(([code]) => [Number(code), schemaAt(`responses/${code}`)]),
    ),
  }
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

function matchRoute(routes: readonly Route[], method: string, pathname: string): Match | undefined {
  for (const route of routes) {
    const found = route.method === method ? route.pattern.exec(pathname) : null
    if (found === null) continue
    const values = found.slice(1).filter(value => value !== undefined)
    const path = Object.fromEntries(route.names.map((name, at) => [name, decode(values[at] ?? '')]))
    return { operationId: route.operation.operationId, path }
  }
  return undefined
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    // Left as it is: nothing has such a name, so it is not found.
    return segment
  }
}

function judgeParams(route: Route, path: Record<string, string>, query: URLSearchParams): Judged['params'] {
  const params: Record<string, string | number> = { ...Object.fromEntries(query), ...path }
  const validate = route.params()
  if (validate(params)) return params
  // A path that does not fit its own form is no path of GitHub's; a query that does not is an invalid request.
  if (route.names.includes(validate.errors![0]!.instancePath.slice(1))) throw notFound()
  throw invalidRequest(validate.errors!.map(tell).join('\n'))
}

function judgeBody(route: Route, bodyText: string): Judged['body'] {
  const validate = route.body?.()
  if (validate === undefined) return {}
  const body = bodyText === '' ? {} : parseJson(bodyText)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GithubRefusal(400, 'Body should be a JSON object')
  }
  if (!validate(body)) throw invalidRequest(validate.errors!.map(tell).join('\n'))
  return body as Record<string, unknown>
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new GithubRefusal(400, 'Problems parsing JSON')
  }
}

function tell(error: ErrorObject): string {
  const { additionalProperty } = error.params as { additionalProperty?: string }
  if (additionalProperty !== undefined) return `"${additionalProperty}" is not a permitted key.`
  return `${error.instancePath.slice(1) || 'body'} ${error.message}`
}
