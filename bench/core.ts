/** A broker without listeners in this process, with a provider that does as it is told. */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { attestorTypes } from '../attestors/index.ts'
import { issuerTypes } from '../issuers/index.ts'
import { defineIssuer, ProviderUnavailable } from '../issuers/issuer.ts'
import { Secret } from '../issuers/shared/secret.ts'
import type { Schedule } from '../src/broker/wake-loop.ts'
import { loadSettings } from '../src/config.ts'
import { kekFiles } from '../src/keys/kek-files.ts'
import { type Core, type Edge, openCore } from '../src/open-core.ts'
import type { Place, Shelf } from './shelf.ts'
import { writeConfig } from './workload.ts'

const HOUR_MS = 3_600_000
/** Half of a dead provider's calls are refused at once; the others hang this long first. */
const HANGS_MS = 1_000

export type Provider = 'answers' | 'dead'

/** An issuer of secrets that can be ended: `answers` at once, or not at all. */
const benched = defineIssuer({
  type: 'benched',
  settings: z.strictObject({ provider: z.enum(['answers', 'dead']) }),
  open({ provider }, { now }) {
    let calls = 0
    return {
      revocability: 'immediate',
      secretFormat: 'token',
      holdsSecret: true,
      mintsLocally: false,
      mintWindowMs: 60_000,
      longestLifeMs: HOUR_MS,
      ask: z.strictObject({}),
      covers: () => true,
      facts: () => ({ phase: 'read', resources: [], permissions: [], mayLeaveAccess: false }),
      issue: async ({ ask }) => ({
        ok: true,
        secret: new Secret('bench'),
        granted: ask,
        providerExpiresAt: now() + HOUR_MS,
      }),
      async revoke() {
        if (provider === 'answers') return 'revoked'
        calls += 1
        if (calls % 2 === 0) await new Promise(resolve => setTimeout(resolve, HANGS_MS))
        throw new ProviderUnavailable('the provider is dead')
      },
      probe: async () => 'dead',
    }
  },
})

export const schedule: Schedule = (ms, run) => {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

/** Has the issuers `answers` and `dead`. Close it. */
export async function openBenchCore(directory: string, place: Place, { kek }: Shelf): Promise<Core> {
  const issuers = {
    answers: { type: 'benched', provider: 'answers' },
    dead: { type: 'benched', provider: 'dead' },
  }
  const path = await writeConfig(directory, { place, kek, issuers })
  return openCore(
    await loadSettings(path, edge.files, { attestorTypes, issuerTypes: [...issuerTypes, benched] }),
    edge,
  )
}

const edge: Edge = {
  version: '0.0.0-bench',
  now: () => Date.now(),
  schedule,
  everyDay: () => () => {},
  random: size => randomBytes(size),
  files: { readFile: path => readFile(path, 'utf8'), listDir: path => readdir(path) },
  kekFiles,
  log: { debug() {}, info() {}, warn() {}, error() {} },
}
