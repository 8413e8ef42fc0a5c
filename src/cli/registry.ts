/** `mayfly registry`: what is registered, and what it was before. */
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printable, printJson, shortTime, table } from './print.ts'
import type { Terminal } from './terminal.ts'

type Options = BrokerOption & OperatorTokenOption & { json?: boolean }

/** One that is shared with a team, and not the team's own, has no more than its type. */
const resourceAnswer = z.looseObject({
  ...{ kind: z.string(), name: z.string(), managed_by: z.string() },
  ...{ version: z.number().optional(), state: z.string().optional(), at: z.string().optional() },
  ...{ actor: z.string().optional(), reason: z.string().optional(), type: z.string().optional() },
  document: z.record(z.string(), z.unknown()).optional(),
})
type ResourceAnswer = z.infer<typeof resourceAnswer>
const pageAnswer = z.looseObject({ items: z.array(resourceAnswer), next: z.string().nullable() })

export async function registryList(terminal: Terminal, kind: string, options: Options): Promise<void> {
  const page = await read(terminal, `/${encodeURIComponent(kind)}`, pageAnswer, options)
  if (options.json === true) return printJson(terminal, page)
  const rows = page.items.map(row => [
    ...[row.name, row.managed_by, row.version === undefined ? 'shared' : String(row.version)],
    ...[shortTime(row.at ?? null), row.actor ?? '-'],
  ])
  terminal.out(table(['NAME', 'MANAGED BY', 'VERSION', 'SINCE', 'BY'], rows))
  terminal.out(`${count(rows.length, 'resource')}\n`)
}

export async function registryShow(
  terminal: Terminal,
  kind: string,
  name: string,
  options: Options,
): Promise<void> {
  const row = await read(terminal, pathOf(kind, name), resourceAnswer, options)
  if (options.json === true) return printJson(terminal, row)
  terminal.out(`${heading(row)}\n`)
  for (const line of JSON.stringify(row.document ?? { type: row.type }, null, 2).split('\n'))
    terminal.out(`  ${line.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ')}\n`)
}

export async function registryVersions(
  terminal: Terminal,
  kind: string,
  name: string,
  options: Options,
): Promise<void> {
  const page = await read(terminal, `${pathOf(kind, name)}/versions`, pageAnswer, options)
  if (options.json === true) return printJson(terminal, page)
  for (const row of page.items) terminal.out(`${heading(row)}\n`)
}

function heading({ kind, name, version, state, managed_by, at, actor, reason }: ResourceAnswer): string {
  const what = `${kind} ${name}${version === undefined ? ', shared' : `, version ${version} (${state})`}`
  const made = actor === undefined ? '' : `\n  by ${actor} at ${shortTime(at ?? null)}: ${reason}`
  return `${what}, managed by ${managed_by}${made}`.split('\n').map(printable).join('\n')
}

const pathOf = (kind: string, name: string) => `/${encodeURIComponent(kind)}/${encodeURIComponent(name)}`

async function read<T>(terminal: Terminal, path: string, answer: z.ZodType<T>, options: Options): Promise<T> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const call = { method: 'GET', path: `/v1/registry${path}`, token, whenLost: 'repeat' } as const
  return client.call(call, answer)
}
