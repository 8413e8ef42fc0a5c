/** `mayfly budgets`: what is used up of what agents, their owners and a lineage may have. */
import { z } from 'zod'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import { type OperatorTokenOption, readOperatorToken } from './operator-token.ts'
import { count, printJson, shortTime, table } from './print.ts'
import type { Terminal } from './terminal.ts'

export type BudgetsOptions = BrokerOption &
  OperatorTokenOption & { agent?: string; owner?: string; task?: string; after?: string; json?: boolean }

const budgetPage = z.looseObject({
  items: z.array(
    z.looseObject({
      agent: z.string().optional(),
      owner: z.string().optional(),
      lineage: z.string().optional(),
      budgets: z.array(
        z.looseObject({
          budget: z.string(),
          limit: z.number(),
          used: z.number(),
          frees_at: z.string().nullable(),
        }),
      ),
    }),
  ),
  next: z.string().nullable(),
})

export async function budgets(terminal: Terminal, options: BudgetsOptions): Promise<void> {
  const token = await readOperatorToken(terminal, options)
  const client = createClient(terminal, operatorUrl(terminal, options))
  const { agent, owner, task, after } = options
  const wanted = Object.entries({ agent, owner, task, after })
  const query = new URLSearchParams(
    wanted.filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  const page = await client.call(
    { method: 'GET', path: `/v1/budgets?${query}`, token, whenLost: 'repeat' },
    budgetPage,
  )
  if (options.json) return printJson(terminal, page)
  const rows = page.items.flatMap(item =>
    item.budgets.map(one => [
      whose(item),
      one.budget,
      String(one.used),
      String(one.limit),
      shortTime(one.frees_at),
    ]),
  )
  terminal.out(table(['WHOSE', 'BUDGET', 'USED', 'LIMIT', 'BEGINS ANEW'], rows))
  const more = page.next === null ? '' : `; more: --after ${page.next}`
  terminal.out(`${count(rows.length, 'budget')}${more}\n`)
}

function whose({ agent, owner, lineage }: z.infer<typeof budgetPage>['items'][number]): string {
  if (agent !== undefined) return `agent ${agent}`
  return owner === undefined ? `lineage ${lineage ?? ''}` : `owner ${owner}`
}
