/**
 * The short way to write an ask on the command line. Three forms; the first one whose mark is there is meant,
 * and what does not fit it is refused:
 *
 *   mark          form
 *   begins arn:   ISSUER=ROLE_ARN#ACTION[,ACTION...]@RESOURCE[,RESOURCE...]
 *   has a #       ISSUER=AUDIENCE#[SCOPE[,SCOPE...]]
 *   neither       ISSUER=OWNER/REPO[+OWNER/REPO...]:PERMISSION:LEVEL[,PERMISSION:LEVEL...]
 *
 * ISSUER is the issuer's configured name. An audience ends at the first `#`; scopes and resources hold no
 * comma, scopes no `#`. Whatever cannot be written so is written in JSON (RFC 9396), with --ask-json.
 */
import { isDeepStrictEqual } from 'node:util'
import { anyNameShape } from '../config/namespaces.ts'
import { CLI_LIMITS } from './limits.ts'
import { usageError } from './terminal.ts'

/** One entry of `authorization_details`: `type` is the issuer's name, the rest is its ask. */
export type AskDetail = { type: string; [member: string]: unknown }

const FORMS = {
  aws: {
    form: 'ISSUER=ROLE_ARN#ACTION[,ACTION]@RESOURCE[,RESOURCE]',
    example: "'aws=arn:aws:iam::123456789012:role/deploy#s3:GetObject@arn:aws:s3:::bucket/*'",
  },
  jwt: {
    form: 'ISSUER=AUDIENCE#SCOPE[,SCOPE]',
    example: 'jwt=https://orders.example.com#orders.read',
  },
  github: {
    form: 'ISSUER=OWNER/REPO[+OWNER/REPO]:PERMISSION:LEVEL[,PERMISSION:LEVEL]',
    example: 'github=acme/api+acme/web:contents:write,issues:read',
  },
} as const
type Form = keyof typeof FORMS

export const ASK_HELP = `Asks:
${Object.values(FORMS)
  .map(({ form, example }) => `  ${form}\n      ${example}`)
  .join('\n')}
  --ask-json takes anything else as one entry of authorization_details:
      '{"type":"github","repository_ids":[42],"permissions":{"contents":"read"}}'`

/** @throws CommandError (usage) that shows the expected form */
export function parseAsk(text: string): AskDetail {
  const [, issuer = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? []
  if (!anyNameShape.safeParse(issuer).success || value === '')
    throw refuse(text, Object.keys(FORMS) as Form[])
  const form: Form = value.startsWith('arn:') ? 'aws' : value.includes('#') ? 'jwt' : 'github'
  const ask = readers[form](value)
  if (ask === undefined) throw refuse(text, [form])
  return { type: issuer, ...ask }
}

/** The inverse of {@link parseAsk}, also for what the broker made of an ask; undefined where no form fits. */
export function formatAsk(detail: AskDetail): string | undefined {
  const plain = plainly(detail)
  const text = writeAny(plain)
  try {
    return text !== undefined && isDeepStrictEqual(parseAsk(text), plain) ? text : undefined
  } catch {
    return undefined
  }
}

/** `--ask-json`. @throws CommandError (usage) */
export function parseAskJson(text: string): AskDetail {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (isRecord(value) && typeof value.type === 'string') return { ...value, type: value.type }
  throw usageError(
    `--ask-json ${shown(text)} is not an ask.\n` +
      `  Expected one JSON object with a "type" (the issuer's name) and the members of its ask.`,
  )
}

/** Both options together, in the order asks first. @throws CommandError (usage) */
export function readAsks({ ask = [], askJson = [] }: { ask?: string[]; askJson?: string[] }): AskDetail[] {
  const all = [...ask.map(parseAsk), ...askJson.map(parseAskJson)]
  if (all.length > CLI_LIMITS.asks) throw usageError(`at most ${CLI_LIMITS.asks} asks can be made at once`)
  return all
}

const ROLE = /^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]+$/
const ACTION = /^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$/
const RESOURCE = /^[\x21-\x2b\x2d-\x7e]+$/
const AUDIENCE = /^[\x21\x22\x24-\x7e]+$/
const SCOPE = /^[\x21\x24-\x2b\x2d-\x5b\x5d-\x7e]+$/
const REPOSITORY = /^[A-Za-z0-9_-]+\/[A-Za-z0-9._-]+$/
const PERMISSION = /^([a-z_]+):(read|write|admin)$/

const readers: Record<Form, (value: string) => Record<string, unknown> | undefined> = {
  aws(value) {
    const [, role = '', actionList = '', resourceList = ''] = /^([^#]*)#([^@]*)@(.*)$/s.exec(value) ?? []
    const actions = list(actionList, ',', ACTION)
    const resources = list(resourceList, ',', RESOURCE)
    return ROLE.test(role) && actions && resources
      ? { role, statements: [{ actions, resources }] }
      : undefined
  },
  jwt(value) {
    const [, audience = '', scopeList = ''] = /^([^#]*)#(.*)$/s.exec(value) ?? []
    if (!AUDIENCE.test(audience)) return undefined
    if (scopeList === '') return { audience }
    const scopes = list(scopeList, ',', SCOPE)
    return scopes && { audience, scopes }
  },
  github(value) {
    const [, repositoryList = '', permissionList = ''] = /^([^:]*):(.*)$/s.exec(value) ?? []
    const repositories = list(repositoryList, '+', REPOSITORY)
    const pairs = list(permissionList, ',', PERMISSION)?.map(pair => pair.split(':') as [string, string])
    if (!repositories || !pairs || hasRepeats(pairs.map(([name]) => name))) return undefined
    return { repositories, permissions: Object.fromEntries(pairs) }
  },
}

/** At least one, each of the form, none twice. */
function list(text: string, separator: string, form: RegExp): string[] | undefined {
  const items = text.split(separator)
  return items.every(item => form.test(item)) && !hasRepeats(items) ? items : undefined
}

function hasRepeats(items: readonly string[]): boolean {
  return new Set(items).size !== items.length
}

/** The broker adds ids to repositories and writes out defaults; neither is part of what was asked. */
function plainly(detail: AskDetail): AskDetail {
  const { repositories, allow_role_chaining, allow_iam_writes, ...rest } = detail
  return {
    ...rest,
    ...(Array.isArray(repositories)
      ? { repositories: repositories.map(one => (isRecord(one) && 'name' in one ? one.name : one)) }
      : {}),
    ...(allow_role_chaining === true ? { allow_role_chaining } : {}),
    ...(allow_iam_writes === true ? { allow_iam_writes } : {}),
  }
}

/** A text that may be the ask's; whether it is, parsing it tells. */
function writeAny({ type, role, statements, audience, scopes, repositories, permissions }: AskDetail) {
  const joined = (value: unknown, separator: string) => (Array.isArray(value) ? value.join(separator) : '')
  if (typeof role === 'string' && Array.isArray(statements)) {
    const [statement] = statements as { actions: unknown; resources: unknown }[]
    return `${type}=${role}#${joined(statement?.actions, ',')}@${joined(statement?.resources, ',')}`
  }
  if (typeof audience === 'string') return `${type}=${audience}#${joined(scopes, ',')}`
  if (!isRecord(permissions)) return undefined
  const pairs = Object.entries(permissions).map(([name, level]) => `${name}:${level}`)
  return `${type}=${joined(repositories, '+')}:${pairs.join(',')}`
}

function refuse(text: string, forms: readonly Form[]) {
  const lines = forms.map(form => `  ${FORMS[form].form}\n      like ${FORMS[form].example}`)
  return usageError(`the ask ${shown(text)} is not of the expected form:\n${lines.join('\n')}`)
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, CLI_LIMITS.shownChars))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
