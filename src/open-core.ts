/** Ledger, keys, plugins and the broker over them, without anything that runs by itself or listens. */
import type { Issuer } from '../issuers/issuer.ts'
import type { Broker, Log } from './broker/broker.ts'
import { createShadow, type Shadow } from './broker/decisions/shadow.ts'
import { createHeldMemory } from './broker/held-memory.ts'
import { noRoles, type Roles } from './broker/people/people.ts'
import type { DrillSettings } from './broker/proof/drill.ts'
import { createQueues } from './broker/queues.ts'
import { createWaits } from './broker/waits.ts'
import type { Schedule } from './broker/wake-loop.ts'
import { brokerSettings } from './broker-settings.ts'
import type { ConfigFiles, LoadedSettings, Registry, ResourceServer } from './config.ts'
import { newId } from './keys/ids.ts'
import { type KekFiles, loadKek } from './keys/kek.ts'
import { isUnsealed, openKeyring } from './keys/open-keyring.ts'
import { fraction, type RandomBytes } from './keys/random.ts'
import { newToken } from './keys/tokens.ts'
import { type Metrics, noMetrics } from './metrics.ts'
import { observedIssuer, observedLedger, observedLog } from './observed.ts'
import { openHumans } from './open-humans.ts'
import { type KeySets, openKeySets } from './open-key-sets.ts'
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
import { webhooksFor } from './open-webhooks.ts'
import { createPolicyHost } from './policy-host/host.ts'
import { fileSetOf } from './registry/files.ts'
import { createInstalled, type Installed } from './registry/installed.ts'
import { prepareFiles } from './registry/policies.ts'
import type { FilesOutcome } from './registry/register-files.ts'
import { createRegistry, type LiveRegistry } from './registry/registry.ts'
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
  /** Where the SPIFFE Workload API of this host is, if it says so: `SPIFFE_ENDPOINT_SOCKET`. */
  workloadApi?: string | undefined
  files: ConfigFiles
  kekFiles: KekFiles
  log: Log
  /** Absent: nobody records any. */
  trace?: Trace
} & LedgerEdge

/** All of it is read before any of it counts. */
type Reloaded = Registry & { applyTls: () => void }

export type Core = KeySets & {
  ledger: Ledger
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
  /** Runs before Mayfly signs to be recognised at a cloud provider, which then looks for the key set. */
  setPublish(publish: () => Promise<void>): void
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
  const { keyring, rotation } = await openKeyring({ ledger, kek, random })
  if (rotation !== undefined)
    log.info(rotation, 'two key-encryption keys open this ledger until mayfly kek rotate --finish')
  const given = brokerSettings(settings)
  const { limits } = given
  const keySets = openKeySets({ ledger, keyring, random }, limits)
  const { keys, webIdentityKeys } = keySets
  const outbound = openOutbound(settings, limits)
  stack.defer(() => outbound.close())

  let drills: ReadonlyMap<string, DrillSettings> = new Map()
  let roles = noRoles
  let wake = () => {}
  let settled = () => {}
  let tell = () => {}
  let publish = async () => {}
  const { fetch, mutualTls } = outbound
  const signIdentity: typeof webIdentityKeys.sign = async (...token) => {
    await publish()
    return webIdentityKeys.sign(...token)
  }
  const lent = { fetch, mutualTls, sign: keys.sign, signIdentity }
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
      attestor: attestorOpener({ ...edge, settings, ...types, fetch: outbound.get }),
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
    ...given,
    now,
    ...pickInstalled(installed),
    policy: policies.engine,
    people: openPeople(
      settings,
      { now, fetch: outbound.get },
      { hash: () => roles.hash(), judge: request => roles.judge(request) },
    ),
    ...openHumans(settings, { now, fetch: outbound.get }),
    shadow,
    heldMemory: createHeldMemory(),
    verifiedAgents: new Map(),
    verifyTaskJwt: token => {
      const content = keys.verify(token)
      return content?.typ === 'at+jwt' && content.claims.iss === settings.public_url
        ? content.claims
        : undefined
    },
    newId: prefix => newId(prefix, Math.floor(now()), random),
    newToken: kind => newToken(kind, Math.floor(now()), random),
    jitter: () => fraction(random),
    queues: createQueues(edge.schedule, limits.turnWaitMs),
    reloaded: () => registry.follow(),
    waits: createWaits({ now, schedule: edge.schedule, limits }),
    outbox: {
      webhooks: webhooksFor('approval.requested', settings),
      ending: webhooksFor('task.ending', settings),
      wake: () => tell(),
    },
    wake: () => wake(),
    settled: () => settled(),
  }
  stack.defer(() => {
    for (const attestor of broker.attestors.values()) attestor.close?.()
  })
  for (const [issuer, { notices = [] }] of broker.issuers)
    for (const notice of notices) log.info({ issuer }, notice)
  for (const [attestor, { notices = [] }] of broker.attestors)
    for (const notice of notices) log.warn({ attestor }, notice)
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
    ...keySets,
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
    setPublish: next => {
      publish = next
    },
    reload,
    close: () => held.disposeAsync(),
  }
}

function pickInstalled({ resourceServers: _, install: __, ...parts }: Installed) {
  return parts
}
