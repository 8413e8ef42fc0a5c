/** `mayfly plan`: what would change, before it does. */
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import { canonicalDigest } from '../canonical.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { type Client, createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson } from './print.ts'
import { type RegistrySet, readSet, type SetOptions } from './registry-set.ts'
import { CommandError, type Terminal } from './terminal.ts'

export type PlanOptions = BrokerOption & OperatorTokenOption & SetOptions & { json?: boolean }

export const changeShape = z.looseObject({
  action: z.enum(['add', 'change', 'remove']),
  ...{ kind: z.string(), name: z.string(), digest: z.string() },
  fields: z.array(
    z.looseObject({ path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
  ),
  ...{ widens: z.array(z.string()), narrows: z.array(z.string()) },
})
const planAnswer = z.looseObject({
  ...{ generation: z.number(), digest: z.string(), namespaces: z.array(z.string()) },
  changes: z.array(changeShape),
})
export type PlanAnswer = z.infer<typeof planAnswer>

export async function plan(terminal: Terminal, options: PlanOptions): Promise<void> {
  const set = await readSet(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const made = await makePlan(createClient(terminal, operatorUrl(terminal, options)), token, set)
  if (options.json === true) return printJson(terminal, made)
  terminal.out(describePlan(made))
  if (made.changes.length > 0)
    terminal.out(`Apply exactly this with: mayfly apply --plan ${made.digest} and the same files\n`)
}

/** @throws CommandError where the broker shows another plan than the one that its digest stands for */
export async function makePlan(client: Client, token: Secret, set: RegistrySet): Promise<PlanAnswer> {
  const call = {
    ...({ method: 'POST', path: '/v1/registry/plan', whenLost: 'repeat' } as const),
    ...{ token, body: set },
  }
  const made = await client.call(call, planAnswer)
  const changes = made.changes.map(({ action, kind, name, digest }) => ({ action, kind, name, digest }))
  if (made.digest === canonicalDigest({ generation: made.generation, changes })) return made
  throw new CommandError('the broker shows another plan than the one it asks to agree to: do not apply it')
}

export function describePlan({ generation, changes }: Pick<PlanAnswer, 'generation' | 'changes'>): string {
  if (changes.length === 0) return 'Nothing would change.\n'
  const lines = changes.flatMap(change => [
    `${SIGNS[change.action]} ${change.kind} ${change.name}`,
    ...(change.action === 'remove' ? [] : change.fields.flatMap(memberByMember).flatMap(describeField)),
    ...change.widens.map(text => `    widens:  ${text}`),
    ...change.narrows.map(text => `    narrows: ${text}`),
  ])
  const tally = (['add', 'change', 'remove'] as const)
    .map(action => `${changes.filter(change => change.action === action).length} to ${action}`)
    .join(', ')
  return `${lines.map(shown).join('\n')}\n${count(changes.length, 'resource')}: ${tally} (generation ${generation})\n`
}

const SIGNS = { add: '+', change: '~', remove: '-' } as const

/** Not cut: what is not shown would be agreed to unseen. */
const shown = (line: string) =>
  line.length > 500 ? line.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ') : printable(line)

type Field = PlanAnswer['changes'][number]['fields'][number]

/** What is added is shown whole; of its secrets the names, since what tells whether they are the same tells nobody. */
function memberByMember({ path, before, after }: Field): Field[] {
  if (path !== '' || !isRecord(after)) return [{ path, before, after }]
  return Object.entries(after).map(([name, value]) => ({
    path: name,
    after: name === 'secrets' && isRecord(value) ? Object.keys(value) : value,
  }))
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function describeField({ path, before, after }: Field): string[] {
  const told = (value: unknown) =>
    JSON.stringify(path === 'expires_at' && typeof value === 'number' ? new Date(value).toISOString() : value)
  return [
    `    ${path}`,
    ...(before === undefined ? [] : [`      - ${told(before)}`]),
    ...(after === undefined ? [] : [`      + ${told(after)}`]),
  ]
}
