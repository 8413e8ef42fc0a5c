/** Servers that are given the very same requests in turn, and what each made of them. */
import { createHash } from 'node:crypto'
import { median } from './figures.ts'
import { post } from './load.ts'
import { rawSyncsPerSecond } from './machine.ts'
import type { ServerProcess } from './server-process.ts'
import type { Place } from './shelf.ts'

export const CONNECTIONS = 32

export type Contestant = { name: string; server: ServerProcess; place: Place }

/** By round; those of one index ran under the same conditions. `cold`: of the very first, which does not count. */
export type Figures = { perSecond: number[]; processorUs: number[]; cold: number }

export type Contest = {
  /** Odd; each gives every contestant the same `requests` requests, in an order that turns. */
  rounds: number
  requests: number
  /** Rounds that do not count, until the compiler has settled on what is hot: more code takes longer. */
  warmUp: number
}

/**
 * @param mint the requests of one round, as forms.
 * @returns the figures, in the order of the contestants, and the median raw sync rate of the disk meanwhile.
 */
export async function contend(
  contestants: readonly Contestant[],
  { rounds, requests, warmUp }: Contest,
  mint: (count: number) => string[],
  directory: string,
): Promise<{ figures: Figures[]; syncsPerSecond: number }> {
  const figures = contestants.map((): Figures => ({ perSecond: [], processorUs: [], cold: Number.NaN }))
  const syncs: number[] = []
  // What warms up counts for the check of inputs and for no figure.
  for (let round = -warmUp; round < rounds; round += 1) {
    const bodies = mint(requests)
    syncs.push(rawSyncsPerSecond(directory, 200))
    for (const turn of contestants.keys()) {
      const index = (turn + round + warmUp) % contestants.length
      const { server } = contestants[index]!
      const before = server.processorMs() ?? Number.NaN
      const seconds = await post(`${server.url}/oauth/token`, bodies, CONNECTIONS)
      if (round === -warmUp) figures[index]!.cold = requests / seconds
      if (round < 0) continue
      figures[index]!.perSecond.push(requests / seconds)
      figures[index]!.processorUs.push((((server.processorMs() ?? Number.NaN) - before) * 1_000) / requests)
    }
  }
  return { figures, syncsPerSecond: median(syncs) }
}

/** Of the pairs of a round, which ran under the same conditions; not of two medians of different rounds. */
export function against(one: Figures, other: Figures): number {
  return median(one.perSecond.map((perSecond, round) => perSecond / other.perSecond[round]!))
}

export function describe(name: string, { perSecond, processorUs, cold }: Figures): string {
  const [least, most] = [Math.min(...perSecond), Math.max(...perSecond)]
  const rate = `${median(perSecond).toFixed(0).padStart(5)} requests/s (${least.toFixed(0)} to ${most.toFixed(0)})`
  return `${name.padEnd(16)} ${rate}, ${median(processorUs).toFixed(0)} us of processor each; ${cold.toFixed(0)} in the first round`
}

/**
 * Broker and bare name a use of evidence alike, so what each recorded shows that all were given the same
 * work and did all of it.
 * @throws Error where one did not.
 */
export async function sameInputs(contestants: readonly Contestant[]): Promise<string> {
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
