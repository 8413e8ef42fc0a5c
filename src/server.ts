/** The composition root: plain calls, in order. What it starts, `stop` ends in the opposite order. */

import { attestorTypes } from '../attestors/index.ts'
import { issuerTypes } from '../issuers/index.ts'
import type { Issuer } from '../issuers/issuer.ts'
import { superviseAgents } from './broker/agents/supervise-agents.ts'
import type { Broker, Log } from './broker/broker.ts'
import { createReaper } from './broker/credentials/reaper.ts'
import { createShadow, type Shadow } from './broker/decisions/shadow.ts'
import { noRoles, type Roles } from './broker/people/people.ts'
import { createDeliveryQueue } from './broker/proof/deliver.ts'
import type { DrillSettings } from './broker/proof/drill.ts'
import { createDrills, type Drills } from './broker/proof/drills.ts'
import { createReceiptQueue } from './broker/proof/sign-receipts.ts'
import { createWaits } from './broker/waits.ts'
import type { Schedule } from './broker/wake-loop.ts'
import {
  type ConfigFiles,
  type LoadedSettings,
  loadRegistry,
  loadSettings,
  type Registry,
  type ResourceServer,
  type Settings,
} from './config.ts'
import { openListeners } from './http/listeners.ts'
import { checkCanary, isUnsealed } from './keys/canary.ts'
import { newId } from './keys/ids.ts'
import { type KekFiles, loadKek } from './keys/kek.ts'
import { createKeyring } from './keys/keyring.ts'
import type { RandomBytes } from './keys/random.ts'
import { readSecretFile } from './keys/secret-file.ts'
import { createSigningKeys, type SigningKeys } from './keys/signing-keys.ts'
import { newToken } from './keys/tokens.ts'
import { LIMITS, type Limits } from './limits.ts'
import { type Metrics, noMetrics } from './metrics.ts'
import { observedIssuer, observedLedger, observedLog } from './observed.ts'
import { createPoll } from './observers/poll-runs.ts'
import { createWatch, type Watch } from './observers/watch.ts'
import { openCandidate } from './open-candidate.ts'
import { openHumans } from './open-humans.ts'
import { type LedgerEdge, openLedger } from './open-ledger.ts'
import { openPeople } from './open-people.ts'
import {
  attestorOpener,
  issuerDigests,
  issuerOpener,
  openAttestors,
  openIssuers,
  openOutbound,
} from './open-plugins.ts'
import { openWebhooks, webhooksFor } from './open-webhooks.ts'
import type { LifeCycle } from './policy/life-cycle.ts'
import { createPolicyHost } from './policy-host/host.ts'
import { createPrometheus } from './prometheus.ts'
import { fileSetOf } from './registry/files.ts'
import { createInstalled, type Installed } from './registry/installed.ts'
import { prepareFiles } from './registry/policies.ts'
import { policyExecutor } from './registry/propose.ts'
import type { FilesOutcome } from './registry/register-files.ts'
import { createRegistry, keepFollowing, type LiveRegistry } from './registry/registry.ts'
import type { Ledger } from './store/ledger.ts'
import { noTrace, type Trace } from './trace.ts'

/** The outside world, as `main.ts` hands it in. */
export type Edge = {
  version: string
  /** Epoch ms. */
  now: () => number
  /** Monotonic: a wall clock set back or forth neither stops nor floods it. */
  schedule: Schedule
  /** Calendar work; returns how to take it back. */
  everyDay: (run: () => Promise<void>) => () => void
  random: RandomBytes
  files: ConfigFiles
  kekFiles: KekFiles
  log: Log
  /** Absent: nobody records any. */
  trace?: Trace
} & LedgerEdge

export type RunningServer = {
  url: string
  operatorUrl: string
  broker: Broker
  /** Reads agents, resource servers and certificates again; a broken configuration changes nothing. */
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
  const { version, now } = edge
  const prometheus = createPrometheus({ version, now })
  const core = await openCore(loaded, edge, prometheus.metrics)
  stack.defer(() => core.close())
  await core.keys.ensure()
  await core.receiptKeys.ensure()
  await core.webIdentityKeys.ensure()
  // Here and not with the ledger: what works offline works without them.
  core.setRoles(await rolesOf(loaded.settings, edge.files))
  core.broker.people.executors = { policies: policyExecutor(core.broker, core.registry) }

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
    registry: core.registry,
    version: edge.version,
    readFile: edge.files.readFile,
    readSecret: path => readSecretFile(edge.kekFiles, path),
    expose: () => prometheus.expose(core.ledger),
  })
  stack.defer(() => http.close())
  // Whoever waits for humans is let go first: a listener closes when its requests are answered.
  stack.defer(() => core.broker.waits.stop())
  await watch.look()
  reaper.wake()
  proof.wake()
  const running = stack.move()
  edge.log.info({ url: http.url, operators: http.operatorUrl, version: edge.version }, 'mayfly is ready')
  return {
    url: http.url,
    operatorUrl: http.operatorUrl,
    broker: core.broker,
    reload: () =>
      core.reload(async () => {
        await candidate.load()
        const applyTls = await http.readTls()
        return { ...(await loadRegistry(loaded.settings, core.fileIssuers, edge.files)), applyTls }
      }),
    async look() {
      await core.shadow.idle()
      await poll?.look()
      await watch.look()
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

/** All of it is read before any of it counts. */
type Reloaded = Registry & { applyTls: () => void }

export type Core = {
  ledger: Ledger
  keys: SigningKeys
  /** Of receipts alone. */
  receiptKeys: SigningKeys
  /** Of what Mayfly itself is recognised by at a cloud provider, under an issuer of its own. */
  webIdentityKeys: SigningKeys
  webhookFetch: typeof globalThis.fetch
  providerFetch: typeof globalThis.fetch
  broker: Broker
  resourceServers: () => ReadonlyMap<string, ResourceServer>
  drills: () => ReadonlyMap<string, DrillSettings>
  /** Those of the files; what teams register, files do not speak of. */
  fileIssuers: ReadonlyMap<string, Issuer>
  registry: LiveRegistry
  /** Puts the files in force, or says in the log why others stay in force. */
  use(files: Registry): Promise<void>
  /** Of a candidate set of policies, if there is one. */
  shadow: Shadow
  setRoles(roles: Roles): void
  setWake(wake: () => void): void
  setTell(tell: () => void): void
  setSettled(settled: () => void): void
  reload(load: () => Promise<Reloaded>): Promise<void>
  close(): Promise<void>
}

/** Ledger, keys and plugins without listeners: what the offline commands work with, too. */
export async function openCore(
  { settings, ...types }: LoadedSettings,
  edge: Edge,
  metrics: Metrics = noMetrics,
): Promise<Core> {
  await using stack = new AsyncDisposableStack()
  const { now, random, trace = noTrace } = edge
  const log = observedLog(edge.log, metrics)
  const ledger = observedLedger(await openLedger(settings, { ...edge, log }, metrics), metrics, now)
  stack.defer(() => ledger.close())
  const mayCreate = await isUnsealed(ledger.read)
  const kek = await loadKek(
    { path: settings.kek_file, mayCreate, shared: settings.ledger.type === 'postgres' },
    { files: edge.kekFiles, random },
  )
  const keyring = createKeyring({ kek, random })
  await checkCanary(ledger, keyring)
  const limits = effectiveLimits(settings)
  const keys = createSigningKeys({
    ledger,
    keyring,
    random,
    purpose: 'task-jwt',
    rotation: {
      rotateAfterMs: limits.signingKeyRotateAfterMs,
      publishAheadMs: limits.signingKeyPublishAheadMs,
      longestTokenMs: limits.taskJwtMs,
    },
  })
  const receiptKeys = createSigningKeys({
    ledger,
    keyring,
    random,
    purpose: 'receipt',
    rotation: {
      rotateAfterMs: limits.receiptKeyRotateAfterMs,
      publishAheadMs: limits.signingKeyPublishAheadMs,
      longestTokenMs: limits.receiptKeyPublishedMs,
    },
  })
  const webIdentityKeys = createSigningKeys({
    ledger,
    keyring,
    random,
    purpose: 'web-identity',
    rotation: {
      rotateAfterMs: limits.signingKeyRotateAfterMs,
      publishAheadMs: limits.signingKeyPublishAheadMs,
      longestTokenMs: limits.webIdentityMs,
    },
  })
  const outbound = openOutbound(settings, limits)
  stack.defer(() => outbound.close())

  let drills: ReadonlyMap<string, DrillSettings> = new Map()
  let roles = noRoles
  let wake = () => {}
  let settled = () => {}
  let tell = () => {}
  const { fetch, mutualTls } = outbound
  const lent = { fetch, mutualTls, sign: keys.sign, signIdentity: webIdentityKeys.sign }
  const opened = openIssuers({ settings, ...types }, edge, lent)
  const observed = (name: string, issuer: Issuer) => observedIssuer(name, issuer, metrics, now)
  const fileIssuers = new Map([...opened].map(([name, issuer]) => [name, observed(name, issuer)] as const))
  const openIssuer = issuerOpener({ settings, ...types }, edge, lent)
  const registryOptions = {
    settings,
    types,
    opened: {
      attestors: openAttestors({ settings, ...types }, edge, outbound.get),
      issuers: fileIssuers,
      issuerDigests: issuerDigests(settings),
    },
    openers: {
      attestor: attestorOpener({ settings, ...types, now, fetch: outbound.get }),
      issuer: (...given: Parameters<typeof openIssuer>) => observed(given[0], openIssuer(...given)),
    },
  }
  const installed = createInstalled(registryOptions)
  const shadow = createShadow({ ledger, log, limits }, edge.schedule)
  const policies = createPolicyHost(installed, { schedule: edge.schedule, log, metrics })
  stack.defer(() => policies.stop())
  const broker: Broker = {
    ledger,
    keyring,
    log,
    metrics,
    trace,
    limits,
    lifeCycle: lifeCycleOf(settings),
    defaults: {
      taskMinutes: settings.task_defaults.minutes,
      ...(settings.task_defaults.heartbeat_seconds === undefined
        ? {}
        : { heartbeatSeconds: settings.task_defaults.heartbeat_seconds }),
      ...(settings.task_defaults.check_in === undefined ? {} : { checkIn: settings.task_defaults.check_in }),
    },
    ...(settings.observers.verify_job_running === undefined
      ? {}
      : { verifyRunning: settings.observers.verify_job_running }),
    now,
    ...pickInstalled(installed),
    budgets: settings.budgets,
    policy: policies.engine,
    people: openPeople(
      settings,
      { now, fetch: outbound.get },
      { hash: () => roles.hash(), judge: request => roles.judge(request) },
    ),
    ...openHumans(settings, { now, fetch: outbound.get }),
    shadow,
    verifiedAgents: new Map(),
    verifyTaskJwt: token => {
      const content = keys.verify(token)
      return content?.typ === 'at+jwt' && content.claims.iss === settings.public_url
        ? content.claims
        : undefined
    },
    newId: prefix => newId(prefix, Math.floor(now()), random),
    newToken: kind => newToken(kind, random),
    jitter: () => Buffer.from(random(4)).readUInt32BE() / 2 ** 32,
    reloaded: () => registry.follow(),
    waits: createWaits({ now, schedule: edge.schedule, limits }),
    outbox: { webhooks: webhooksFor('approval.requested', settings), wake: () => tell() },
    wake: () => wake(),
    settled: () => settled(),
  }
  for (const [issuer, { notices = [] }] of broker.issuers)
    for (const notice of notices) log.info({ issuer }, notice)
  const registry = createRegistry(broker, {
    ...registryOptions,
    ...{ installed, policies },
    isAlone: settings.ledger.type === 'sqlite',
    wait: ms => new Promise<void>(resolve => void edge.schedule(ms, resolve)),
  })
  async function use(read: Registry, applyTls = () => {}): Promise<FilesOutcome> {
    // Before anything is changed: a problem is told by the file and line in which it stands.
    await (await prepareFiles(policies, read.policies)).discard()
    return registry.use(fileSetOf(settings, read), () => {
      drills = read.drills
      applyTls()
    })
  }
  async function reload(load: () => Promise<Reloaded>): Promise<void> {
    const { applyTls, ...read } = await load()
    const outcome = await use(read, applyTls)
    if (!outcome.inForce) throw new Error(outcome.why)
    log.info({ agents: read.agents.length, changed: outcome.agents }, 'the configuration was read again')
  }
  const held = stack.move()
  return {
    ledger,
    keys,
    receiptKeys,
    webIdentityKeys,
    webhookFetch: outbound.webhooks,
    providerFetch: outbound.fetch,
    broker,
    resourceServers: installed.resourceServers,
    drills: () => drills,
    fileIssuers,
    registry,
    shadow,
    async use(read) {
      await use(read)
    },
    setRoles: next => {
      roles = next
    },
    setWake: next => {
      wake = next
    },
    setTell: next => {
      tell = next
    },
    setSettled: next => {
      settled = next
    },
    reload,
    close: () => held.disposeAsync(),
  }
}

function pickInstalled({ resourceServers: _, install: __, ...parts }: Installed) {
  return parts
}

function lifeCycleOf({ life_cycle: it }: Settings): LifeCycle {
  return {
    ...{ unusedDays: it.unused_days, certify: it.certify },
    ...(it.owners === undefined ? {} : { owners: it.owners }),
    ...(it.build_claim === undefined ? {} : { buildClaim: it.build_claim }),
  }
}

function effectiveLimits({ limits }: Settings): Limits {
  return {
    ...LIMITS,
    connections: limits.connections,
    requestsInFlight: limits.requests_in_flight,
    requestsPerMinutePerSource: limits.requests_per_minute_per_source,
    exchangesPerMinutePerSource: limits.exchanges_per_minute_per_source,
    failedAttestationsPerMinutePerSource: limits.failed_attestations_per_minute_per_source,
    reaperConcurrencyPerIssuer: limits.reaper_concurrency_per_issuer,
    taskMinutes: limits.task_minutes,
  }
}

/** Receipts, and the webhooks that are told of them. */
async function openProof(core: Core, settings: Settings, { schedule, kekFiles }: Edge) {
  const webhooks = await openWebhooks(settings, kekFiles)
  const deliveries = webhooks.map(webhook =>
    createDeliveryQueue(core.broker, schedule, { webhook, fetch: core.webhookFetch }),
  )
  const tell = () => {
    for (const queue of deliveries) queue.wake()
  }
  core.setTell(tell)
  const receipts = createReceiptQueue(core.broker, schedule, {
    issuer: settings.public_url,
    sign: core.receiptKeys.sign,
    webhooks: webhooksFor('task.ended', settings),
    signed: tell,
  })
  core.setSettled(receipts.wake)
  const queues = [receipts, ...deliveries]
  return {
    wake() {
      for (const queue of queues) queue.wake()
    },
    async idle() {
      for (const queue of queues) await queue.idle()
    },
    async stop() {
      await Promise.all(queues.map(queue => queue.stop()))
    },
  }
}

/** Rotation, pruning and drills: what the calendar asks for. */
async function keepHouse(
  { ledger, keys, receiptKeys, webIdentityKeys, broker }: Core,
  drills: Drills,
): Promise<void> {
  await keys.rotate()
  await receiptKeys.rotate()
  await webIdentityKeys.rotate()
  while ((await ledger.write(tx => tx.prune(broker.limits.pruneBatch))) === broker.limits.pruneBatch);
  await superviseAgents(broker)
  await drills.daily()
}

/** Another broker may have rotated: the published set is read again every minute. */
function keepKeysFresh({ keys, receiptKeys, webIdentityKeys, broker }: Core, { schedule }: Edge): () => void {
  let cancel = () => {}
  const again = () => {
    cancel = schedule(broker.limits.signingKeyRefreshMs, () => {
      Promise.all([keys, receiptKeys, webIdentityKeys].map(set => set.refresh()))
        .catch(error => broker.log.error({ err: error }, 'signing keys could not be read again'))
        .finally(again)
    })
  }
  again()
  return () => cancel()
}
