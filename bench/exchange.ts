/**
 * One exchange, from evidence to a signed JWT, durable: the broker beside `bare.ts`, in one run; without policies,
 * and with the shipped starter set in force.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  against,
  CONNECTIONS,
  type Contest,
  type Contestant,
  contend,
  describe,
  sameInputs,
} from './contest.ts'
import { median, type Row } from './figures.ts'
import { type PolicySet, policySet } from './policies.ts'
import { startBare, startBroker } from './server-process.ts'
import type { Place, Shelf } from './shelf.ts'
import { AUDIENCE, jwtIssuer, type Provider, startProvider, writeConfig } from './workload.ts'

export type ExchangeOptions = Contest & {
  /** What the broker's ledger begins with. */
  original: Place
  outstanding: number
  say: (text: string) => void
}

export async function benchExchange(
  shelf: Shelf,
  directory: string,
  { original, outstanding, say, ...contest }: ExchangeOptions,
): Promise<Row[]> {
  const { rounds, requests } = contest
  const provider = await startProvider()
  const contestants: Contestant[] = []
  const contended = await (async () => {
    try {
      for await (const one of start(shelf, directory, { provider, original })) contestants.push(one)
      return await contend(contestants, contest, count => provider.mint(count), directory)
    } finally {
      await Promise.all([provider.close(), ...contestants.map(({ server }) => server.stop())])
    }
  })()
  const { figures, syncsPerSecond } = contended
  say(
    `exchange: ${rounds} rounds of ${requests} requests over ${CONNECTIONS} connections; RS256 evidence, ES256 answer; ${outstanding} leases outstanding at the broker`,
  )
  say(`exchange: the disk's raw sync rate is ${syncsPerSecond.toFixed(0)}/s (append 4 KiB, fdatasync)`)
  for (const [index, { name }] of contestants.entries()) {
    const share = (100 * median(figures[index]!.perSecond)) / syncsPerSecond
    say(`exchange: ${describe(name, figures[index]!)}, ${share.toFixed(1)} % of the raw sync rate`)
  }
  say(`exchange: every contestant recorded the same inputs: SHA-256 ${await sameInputs(contestants)}`)
  const [broker, starter, each, grouped] = figures
  return [
    { name: 'exchange/commit-each', ratio: against(broker!, each!), bar: 0.7, good: 'least' },
    { name: 'exchange/commit-grouped', ratio: against(broker!, grouped!), bar: 0.4, good: 'least' },
    { name: 'exchange/starter-each', ratio: against(starter!, each!), bar: 0.7, good: 'least' },
    { name: 'exchange/starter-grouped', ratio: against(starter!, grouped!), bar: 0.4, good: 'least' },
  ]
}

async function* start(
  shelf: Shelf,
  directory: string,
  { provider, original }: { provider: Provider; original: Place },
): AsyncGenerator<Contestant> {
  await mkdir(directory, { recursive: true })
  const jwksFile = join(directory, 'jwks.json')
  await writeFile(jwksFile, JSON.stringify(provider.jwks))
  for (const set of ['off', 'starter'] as const)
    yield startJudging(shelf, join(directory, `broker-${set}`), { set, provider, original })
  for (const how of ['each', 'grouped'] as const) {
    const place = await shelf.place(join(directory, how))
    const server = await startBare(how, [place.url, jwksFile, provider.issuer, AUDIENCE])
    yield { name: `bare/${how}`, server, place }
  }
}

/** A broker of its own, with a copy of the ledger and this set in force. */
export async function startJudging(
  shelf: Shelf,
  home: string,
  { set, provider, original }: { set: PolicySet; provider: Provider; original: Place },
): Promise<Contestant> {
  const place = await shelf.copy(original, home)
  const config = await writeConfig(home, {
    ...{ place, kek: shelf.kek, provider: provider.issuer, issuers: { jwt: jwtIssuer } },
    policies: await policySet(set),
  })
  return { name: set === 'off' ? 'broker' : `broker/${set}`, server: await startBroker(config), place }
}
