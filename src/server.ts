/** The composition root: plain calls, in order. What it starts, `stop` ends in the opposite order. */

import { attestorTypes } from '../attestors/index.ts'
import { issuerTypes } from '../issuers/index.ts'
import { superviseAgents } from './broker/agents/supervise-agents.ts'
import type { Broker } from './broker/broker.ts'
import { createReaper } from './broker/credentials/reaper.ts'
import { noRoles, type Roles } from './broker/people/people.ts'
import { createDrills, type Drills } from './broker/proof/drills.ts'
import { type ConfigFiles, loadRegistry, loadSettings, readSettings, type Settings } from './config.ts'
import { openListeners } from './http/listeners.ts'
import { readSecretFile } from './keys/secret-file.ts'
import { createPoll } from './observers/poll-runs.ts'
import { createWatch, type Watch } from './observers/watch.ts'
import { openAlerts } from './open-alerts.ts'
import { openCandidate } from './open-candidate.ts'
import { type Core, type Edge, openCore } from './open-core.ts'
import { everyKeySet } from './open-key-sets.ts'
import { openProof } from './open-proof.ts'
import { createPrometheus } from './prometheus.ts'
import { fileSetOf } from './registry/files.ts'
import { registryExecutor } from './registry/propose.ts'
import { keepFollowing } from './registry/registry.ts'
import { createRestartNeeded } from './restart-needed.ts'

export type RunningServer = {
  url: string
  operatorUrl: string
  /** Of the listener that asks for client certificates, where there is one. */
  mtlsUrl: string | undefined
  broker: Broker
  /**
   * Reads agents, resource servers, policies and certificates again; a broken configuration changes nothing. What
   * changed in the settings themselves waits for a restart, and the log names it.
   */
  reload(): Promise<void>
  /** Does what is due now, instead of when the next timer says so, to its end: after a clock was moved. */
  look(): Promise<void>
  stop(): Promise<void>
}

/** Starts everything, or throws and leaves nothing running. */
export async function startServer(configPath: string, edge: Edge): Promise<RunningServer> {
  await using stack = new AsyncDisposableStack()

  // 1. Settings, ledger, keys.
  const loaded = await loadSettings(configPath, edge.files, { attestorTypes, issuerTypes })
  const restart = createRestartNeeded(configPath, await readSettings(configPath, edge.files), edge)
  const { version, now } = edge
  const prometheus = createPrometheus({ version, now })
  const core = await openCore(loaded, edge, prometheus.metrics)
  stack.defer(() => core.close())
  for (const set of everyKeySet(core)) await set.ensure()
  // Here and not with the ledger: what works offline works without them.
  core.setRoles(await rolesOf(loaded.settings, edge.files))
  const executor = registryExecutor(core.broker, core.registry)
  core.broker.people.executors = { policies: executor, keys: executor }

  // 2. Agents, into the ledger that mints are judged against.
  const registry = await loadRegistry(loaded.settings, core.fileIssuers, edge.files)
  await core.use(registry)
  core.registry.readFilesBy(async () =>
    fileSetOf(loaded.settings, await loadRegistry(loaded.settings, core.fileIssuers, edge.files)),
  )
  stack.defer(keepFollowing(core.broker, core.registry, edge.schedule))

  // 3. What ends things.
  const reaper = createReaper(core.broker, edge.schedule)
  core.setWake(reaper.wake)
  stack.defer(() => reaper.stop())
  const watch = createWatch(core.broker, edge.schedule)
  stack.defer(() => watch.stop())
  const proof = await openProof(core, loaded.settings, edge)
  stack.defer(() => proof.stop())
  const poll = openPoll(core, loaded.settings, edge)
  stack.defer(() => poll?.stop())
  const alerts = openAlerts(core, loaded.settings, edge)
  stack.defer(() => alerts?.stop())
  const drills = createDrills(core.broker, {
    schedule: edge.schedule,
    fetch: core.providerFetch,
    settings: core.drills,
  })
  stack.defer(() => drills.stop())
  const candidate = openCandidate(core, loaded.settings, edge)
  stack.defer(() => candidate.stop())
  await candidate.load()
  const calendar = edge.everyDay(() => keepHouse(core, drills))
  stack.defer(calendar)
  stack.defer(keepKeysFresh(core, edge))

  // 4. Listeners, last: ready means ready.
  const http = await openListeners(core.broker, {
    settings: loaded.settings,
    resourceServers: core.resourceServers,
    keys: core.keys,
    receiptKeys: core.receiptKeys,
    webIdentityKeys: core.webIdentityKeys,
    drills,
    secretAlerts: alerts?.wake,
    registry: core.registry,
    restartNeeded: restart.sections,
    version: edge.version,
    readFile: edge.files.readFile,
    readSecret: path => readSecretFile(edge.kekFiles, path),
    expose: () => prometheus.expose(core.ledger),
    schedule: edge.schedule,
    workloadApi: edge.workloadApi,
  })
  stack.defer(() => http.close())
  // Whoever waits for humans is let go first: a listener closes when its requests are answered.
  stack.defer(() => core.broker.waits.stop())
  await watch.look()
  reaper.wake()
  proof.wake()
  alerts?.wake()
  const running = stack.move()
  edge.log.info({ url: http.url, operators: http.operatorUrl, version: edge.version }, 'mayfly is ready')
  return {
    url: http.url,
    operatorUrl: http.operatorUrl,
    mtlsUrl: http.mtlsUrl,
    broker: core.broker,
    async reload() {
      await restart.look()
      await core.reload(async () => {
        await candidate.load()
        const applyTls = await http.readTls()
        return { ...(await loadRegistry(loaded.settings, core.fileIssuers, edge.files)), applyTls }
      })
    },
    async look() {
      await core.shadow.idle()
      await poll?.look()
      await watch.look()
      alerts?.wake()
      await alerts?.idle()
      reaper.wake()
      await reaper.idle()
      proof.wake()
      await proof.idle()
    },
    stop: () => running.disposeAsync(),
  }
}

/** Cedar is loaded only where humans sign in. */
async function rolesOf(settings: Settings, files: ConfigFiles): Promise<Roles> {
  if (settings.operators.oidc === undefined) return noRoles
  const { openRoles } = await import('./open-roles.ts')
  return openRoles(settings, files)
}

/** What asks the provider about runs, where that is configured. */
function openPoll({ broker }: Core, { observers }: Settings, { schedule }: Edge): Watch | undefined {
  const chosen = observers.github_poll
  const watch = chosen === undefined ? undefined : broker.issuers.get(chosen.issuer)?.watch
  if (chosen === undefined || watch === undefined) return undefined
  const { issuer, every_seconds } = chosen
  return createPoll(broker, schedule, { issuer, watch, everyMs: every_seconds * 1_000 })
}

/** Rotation, pruning and drills: what the calendar asks for. */
async function keepHouse(core: Core, drills: Drills): Promise<void> {
  const { ledger, broker } = core
  for (const set of everyKeySet(core)) await set.rotate()
  while ((await ledger.write(tx => tx.prune(broker.limits.pruneBatch))) === broker.limits.pruneBatch);
  await superviseAgents(broker)
  await drills.daily()
}

/** Another broker may have rotated: the published set is read again every minute. */
function keepKeysFresh(core: Core, { schedule }: Edge): () => void {
  const { broker } = core
  let cancel = () => {}
  const again = () => {
    cancel = schedule(broker.limits.signingKeyRefreshMs, () => {
      Promise.all(everyKeySet(core).map(set => set.refresh()))
        .catch(error => broker.log.error({ err: error }, 'signing keys could not be read again'))
        .finally(again)
    })
  }
  again()
  return () => cancel()
}
