/** A restart loads no list: it costs the same however much is outstanding. */
import { join } from 'node:path'
import { openPlainCore } from './core.ts'
import { median, type Row } from './figures.ts'
import { fill } from './fill.ts'
import { startBroker } from './server-process.ts'
import { writeConfig } from './workload.ts'

export async function benchStart(
  directory: string,
  { rounds, outstanding, say }: { rounds: number; outstanding: number; say: (text: string) => void },
): Promise<Row[]> {
  // Neither ledger's broker attests anything here.
  const configOf = (name: string) => writeConfig(join(directory, name), 'http://127.0.0.1:9')
  const configs = { empty: await configOf('empty'), full: await configOf('full') }
  const core = await openPlainCore(configs.full)
  await fill(core, { count: outstanding, issuer: 'jwt', state: 'active' })
  await core.close()

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
