/** A restart loads no list: it costs the same however much is outstanding. */
import { join } from 'node:path'
import { median, type Row } from './figures.ts'
import { startBroker } from './server-process.ts'
import type { Place, Shelf } from './shelf.ts'
import { jwtIssuer, writeConfig } from './workload.ts'

export type StartOptions = {
  rounds: number
  /** A ledger with that many leases. */
  original: Place
  outstanding: number
  say: (text: string) => void
}

export async function benchStart(
  shelf: Shelf,
  directory: string,
  { rounds, original, outstanding, say }: StartOptions,
): Promise<Row[]> {
  const at = (name: string) => join(directory, name)
  const places = { empty: await shelf.place(at('empty')), full: await shelf.copy(original, at('full')) }
  // The leases are of the issuer `answers`: here, of one that is built in.
  const issuers = { answers: jwtIssuer }
  const configOf = (name: keyof typeof places) =>
    writeConfig(at(name), { place: places[name], kek: shelf.kek, issuers })
  const configs = { empty: await configOf('empty'), full: await configOf('full') }

  const taken = { empty: [] as number[], full: [] as number[] }
  // The first start makes keys and registers the agents, against which it judges what is out: no restart.
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of ['empty', 'full'] as const) {
      const server = await startBroker(configs[name])
      await server.stop()
      if (round > 0) taken[name].push(server.readyMs)
    }
  }
  say(
    `start: process start to ready, ${rounds} times: ${median(taken.empty).toFixed(0)} ms on an empty ledger, ${median(taken.full).toFixed(0)} ms with ${outstanding} outstanding leases`,
  )
  return [{ name: 'start/ready', ratio: median(taken.full) / median(taken.empty), bar: 1.5, good: 'most' }]
}
