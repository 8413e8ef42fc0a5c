/** One exchange, from evidence to a signed JWT, durable: the broker beside `bare.ts`, in one run. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { median, type Row } from './figures.ts'
import { post } from './load.ts'
import { rawSyncsPerSecond } from './machine.ts'
import { type ServerProcess, startBare, startBroker } from './server-process.ts'
import type { Place, Shelf } from './shelf.ts'
import { AUDIENCE, jwtIssuer, type Provider, startProvider, writeConfig } from './workload.ts'

const CONNECTIONS = 32
type Contestant = {
  name: string
  server: ServerProcess
  place: Place
  perSecond: number[]
  processorUs: number[]
}

export type ExchangeOptions = {
  /** Odd; each gives every contestant the same `requests` requests, in an order that turns. */
  rounds: number
  requests: number
  /** Rounds that do not count, until the compiler has settled on what is hot: more code takes longer. */
  warmUp: number
  /** What the broker's ledger begins with. */
  original: Place
  outstanding: number
  say: (text: string) => void
}

export async function benchExchange(
  shelf: Shelf,
  directory: string,
  { rounds, requests, warmUp, original, outstanding, say }: ExchangeOptions,
): Promise<Row[]> {
  const provider = await startProvider()
  const contestants: Contestant[] = []
  try {
    for await (const one of start(shelf, directory, { provider, original })) contestants.push(one)
    const syncs: number[] = []
    // What warms up counts for the check of inputs and for no figure.
    for (let round = -warmUp; round < rounds; round += 1) {
      const bodies = provider.mint(requests)
      syncs.push(rawSyncsPerSecond(directory, 200))
      for (const index of contestants.keys()) {
        const one = contestants[(index + round + warmUp) % contestants.length]!
        const before = one.server.processorMs() ?? Number.NaN
        const seconds = await post(`${one.server.url}/oauth/token`, bodies, CONNECTIONS)
        if (round < 0) continue
        one.perSecond.push(requests / seconds)
        one.processorUs.push((((one.server.processorMs() ?? Number.NaN) - before) * 1_000) / requests)
      }
    }
    const sync = median(syncs)
    say(
      `exchange: ${rounds} rounds of ${requests} requests over ${CONNECTIONS} connections; RS256 evidence, ES256 answer; ${outstanding} leases outstanding at the broker`,
    )
    say(`exchange: the disk's raw sync rate is ${sync.toFixed(0)}/s (append 4 KiB, fdatasync)`)
    for (const one of contestants) say(`exchange: ${describe(one, sync)}`)
  } finally {
    await Promise.all([provider.close(), ...contestants.map(({ server }) => server.stop())])
  }
  say(`exchange: every contestant recorded the same inputs: SHA-256 ${await sameInputs(contestants)}`)
  const [broker, each, grouped] = contestants
  return [
    { name: 'exchange/commit-each', ratio: against(broker!, each!), bar: 0.7, good: 'least' },
    { name: 'exchange/commit-grouped', ratio: against(broker!, grouped!), bar: 0.4, good: 'least' },
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
  const figures = () => ({ perSecond: [], processorUs: [] })
  const home = join(directory, 'broker')
  const own = await shelf.copy(original, home)
  const installed = { kek: shelf.kek, provider: provider.issuer, issuers: { jwt: jwtIssuer } }
  const config = await writeConfig(home, { place: own, ...installed })
  yield { name: 'broker', server: await startBroker(config), place: own, ...figures() }
  for (const how of ['each', 'grouped'] as const) {
    const place = await shelf.place(join(directory, how))
    const server = await startBare(how, [place.url, jwksFile, provider.issuer, AUDIENCE])
    yield { name: `bare/${how}`, server, place, ...figures() }
  }
}

/** Of the pairs of a round, which ran under the same conditions; not of two medians of different rounds. */
function against(one: Contestant, other: Contestant): number {
  return median(one.perSecond.map((perSecond, round) => perSecond / other.perSecond[round]!))
}

function describe({ name, perSecond, processorUs }: Contestant, syncsPerSecond: number): string {
  const [least, most] = [Math.min(...perSecond), Math.max(...perSecond)]
  const rate = `${median(perSecond).toFixed(0).padStart(5)} requests/s (${least.toFixed(0)} to ${most.toFixed(0)})`
  const share = `${((100 * median(perSecond)) / syncsPerSecond).toFixed(1)} % of the raw sync rate`
  return `${name.padEnd(12)} ${rate}, ${share}, ${median(processorUs).toFixed(0)} us of processor each`
}

/**
 * Broker and bare name a use of evidence alike, so what each recorded shows that all were given the same
 * work and did all of it.
 * @throws Error where one did not.
 */
async function sameInputs(contestants: readonly Contestant[]): Promise<string> {
  const digests = await Promise.all(
    contestants.map(async ({ name, place }) => ({ name, digest: await digestOfEvidence(place) })),
  )
  const [first] = digests
  const other = digests.find(({ digest }) => digest !== first!.digest)
  if (other !== undefined) throw new Error(`${other.name} recorded other inputs than ${first!.name}`)
  return first!.digest
}

async function digestOfEvidence(place: Place): Promise<string> {
  const digest = createHash('sha256')
  for (const { id } of await place.query('select id from evidence order by id')) digest.update(`${id}\n`)
  return digest.digest('hex').slice(0, 16)
}
