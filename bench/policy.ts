/** What a decision costs: the same exchange without policies, with the starter set, and with 200 policies. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { against, CONNECTIONS, type Contestant, contend, describe, sameInputs } from './contest.ts'
import { type ExchangeOptions, startJudging } from './exchange.ts'
import type { Row } from './figures.ts'
import type { Shelf } from './shelf.ts'
import { startProvider } from './workload.ts'

const SETS = ['off', 'starter', '200'] as const
/** Whether a verdict may be remembered: `same` in all that is read, or `different` from every other request. */
const KINDS = ['same', 'different'] as const

export async function benchPolicy(
  shelf: Shelf,
  directory: string,
  { original, outstanding, say, ...contest }: ExchangeOptions,
): Promise<Row[]> {
  await mkdir(directory, { recursive: true })
  const provider = await startProvider()
  const contestants: Contestant[] = []
  const rows: Row[] = []
  try {
    for (const set of SETS)
      contestants.push(await startJudging(shelf, join(directory, set), { set, provider, original }))
    say(
      `policy: ${contest.rounds} rounds of ${contest.requests} requests over ${CONNECTIONS} connections; ${outstanding} leases outstanding`,
    )
    for (const kind of KINDS) {
      const mint = (count: number) => provider.mint(count, { kind })
      const { figures } = await contend(contestants, contest, mint, directory)
      for (const [index, set] of SETS.entries()) {
        say(`policy: requests that are ${kind}: ${describe(`policy ${set}`, figures[index]!)}`)
        if (set !== 'off')
          rows.push({
            name: `policy/${set}-${kind}`,
            ratio: against(figures[index]!, figures[0]!),
            good: 'least',
          })
      }
    }
  } finally {
    await Promise.all([provider.close(), ...contestants.map(({ server }) => server.stop())])
  }
  say(`policy: every broker recorded the same inputs: SHA-256 ${await sameInputs(contestants)}`)
  return rows
}
