import type { Hono } from 'hono'
import type { AttestorDeps } from '../../attestors/attestor.ts'
import { socketOf } from '../../attestors/shared/workload-socket.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import type { Drills } from '../broker/proof/drills.ts'
import { networkList } from '../config/listen.ts'
import type { ResourceServer, Settings } from '../config.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { type AppOptions, createApp, createGates, createOperatorApp } from './app.ts'
import type { Env } from './guard.ts'
import { CannotListen, checkTls, type Listener, listen, type Tls } from './listen.ts'
import type { MetricsOptions } from './metrics.ts'
import { openOctoSts } from './open-octo-sts.ts'
import { readWebhookSecrets } from './webhook-secrets.ts'
import type { WebhookOptions } from './webhooks.ts'
import type { PublishedKeys } from './well-known.ts'
import { followWorkloadCertificate, type WorkloadCertificate } from './workload-certificate.ts'

/** What any listener needs of the process. */
export type ListenerSurroundings = {
  settings: Settings
  readFile: (path: string) => Promise<string>
} & Pick<AttestorDeps, 'schedule' | 'workloadApi'>

export type ListenersOptions = ListenerSurroundings &
  PublishedKeys & {
    resourceServers: () => ReadonlyMap<string, ResourceServer>
    drills: Pick<Drills, 'start'>
    /** Tells that an alert waits to be looked at; absent where none are. */
    secretAlerts: (() => void) | undefined
    registry: LiveRegistry
    restartNeeded: NonNullable<AppOptions['restartNeeded']>
    version: string
    /** As `readFile`, for secrets, which nobody else may be able to read. */
    readSecret: (path: string) => Promise<string>
    /** The text for Prometheus. */
    expose: MetricsOptions['expose']
  }

export type Listeners = {
  url: string
  operatorUrl: string
  /** Of the one that asks for client certificates. */
  mtlsUrl: string | undefined
  /** Reads the certificates again. @returns what puts them in force. @throws where one cannot be used. */
  readTls(): Promise<() => void>
  close(): Promise<void>
}

/** The workloads' listener and, where they are configured, the operators' own and the one for certificates; all or none. */
export async function openListeners(broker: Broker, given: ListenersOptions): Promise<Listeners> {
  const { settings } = given
  const { operator_listen: operators, mtls_listen: mtls } = settings
  let stopping = false
  const opened: Opened[] = []
  const shared = await sharedOptions(given)
  const octoSts = await openOctoSts(broker, settings, given.registry)
  const close = async () => {
    stopping = true
    await Promise.all(opened.map(one => one.close()))
    await octoSts?.stop()
  }
  const options: Shared = {
    ...shared,
    ...(octoSts === undefined ? {} : { octoSts: octoSts.facade, trustPolicies: octoSts.pushed }),
    stopping: () => stopping,
    async notReady() {
      const reasons = opened.map(one => one.notReady())
      return reasons.find(reason => reason !== undefined) ?? notReady(broker, stopping)
    },
  }
  const gates = createGates(broker)
  const open = async (
    key: Key,
    at: At,
    app: (options: AppOptions) => Hono<Env>,
    other: Partial<AppOptions> = {},
  ) => {
    const routes = app({ ...options, ...proxyOptions(at), ...other })
    const listener = await openListener(broker, given, { key, at, routes }).catch((error: unknown) => {
      if (!(error instanceof CannotListen)) throw error
      throw new CannotListen(`${error.message}. Change ${key}.host or ${key}.port`, { cause: error })
    })
    opened.push(listener)
    await listener.begun()
    return listener.url
  }
  const workloads = (own: AppOptions) => createApp(broker, own, gates)
  try {
    const url = await open('listen', settings.listen, workloads)
    const operatorUrl =
      operators === undefined
        ? url
        : await open('operator_listen', operators, own => createOperatorApp(broker, own))
    const mtlsUrl =
      mtls && (await open('mtls_listen', mtls, workloads, { reachedAt: mtls.public_url, operators: false }))
    return {
      ...{ url, operatorUrl, mtlsUrl },
      async readTls() {
        const read = await Promise.all(opened.map(one => one.readTls()))
        for (const tls of read) if (tls !== undefined) checkTls(tls)
        return () => {
          for (const [index, tls] of read.entries()) if (tls !== undefined) opened[index]!.setTls(tls)
        }
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

type Key = 'listen' | 'operator_listen' | 'mtls_listen'
type At = Pick<Settings['listen'], 'host' | 'port' | 'tls' | 'behind_proxy'>
type Shared = Omit<AppOptions, 'proxyHops' | 'forwarded' | 'reachedAt'>

/** What all listeners answer by. A file that cannot be used is told at the start, not by the first request. */
async function sharedOptions(given: ListenersOptions): Promise<Omit<Shared, 'stopping' | 'notReady'>> {
  const { settings, resourceServers, keys, receiptKeys, webIdentityKeys, drills, registry, version } = given
  const { restartNeeded } = given
  return {
    ...(await openWebhooks(settings, given)),
    metrics: { expose: given.expose, token: await readScraperToken(settings, given) },
    publicUrl: settings.public_url,
    certificates: certificateUse(settings),
    stsEndpoint: settings.sts_endpoint,
    operators: settings.operator_listen === undefined,
    ...{ resourceServers, keys, receiptKeys, webIdentityKeys, drills, registry, version, restartNeeded },
  }
}

async function readScraperToken(
  { metrics: { token_file: path } }: Settings,
  { readSecret }: Pick<ListenersOptions, 'readSecret'>,
): Promise<Secret | undefined> {
  if (path === undefined) return undefined
  const token = new Secret((await readSecret(path)).trim())
  if (/^[\x21-\x7e]{32,}$/.test(token.reveal())) return token
  throw new Error(`${path}: expected one token of at least 32 characters, such as: openssl rand -hex 32`)
}

function proxyOptions({ behind_proxy: proxy }: At): Pick<AppOptions, 'proxyHops' | 'forwarded'> {
  const told = proxy?.client_certificate
  return {
    proxyHops: proxy?.hops ?? 0,
    ...(told && { forwarded: { ...told, from: networkList(told.from) } }),
  }
}

type Opened = Listener & {
  /** The files of its certificate, read again; undefined where it has none. */
  readTls(): Promise<Tls | undefined>
} & Pick<WorkloadCertificate, 'begun' | 'notReady'>

/** One listener, and what its certificate comes from: files, or the Workload API. */
export async function openListener(
  broker: Pick<Broker, 'limits' | 'now' | 'jitter' | 'log'>,
  { readFile, schedule, workloadApi }: Omit<ListenerSurroundings, 'settings'>,
  { key, at, routes }: { key: Key; at: At; routes: Hono<Env> },
): Promise<Opened> {
  const own = at.tls !== undefined && 'workload_api' in at.tls ? at.tls.workload_api : undefined
  const socket = own && socketFor(`${key}.tls`, own.socket, workloadApi)
  const readTls = () => readPair(at.tls, readFile)
  const tls: Tls | 'to come' | undefined = socket === undefined ? await readTls() : 'to come'
  const address = {
    ...{ host: at.host, port: at.port, asksForCertificates: key === 'mtls_listen' },
    ...(tls === undefined ? {} : { tls }),
  }
  const listener = await listen(routes, address, broker.limits)
  if (socket === undefined) return { ...listener, readTls, begun: async () => {}, notReady: () => undefined }
  const { now, jitter, log } = broker
  const wanted = { socket, spiffeId: own?.spiffe_id }
  const followed = followWorkloadCertificate(wanted, listener.setTls, { now, jitter, log, schedule })
  return {
    ...{ ...listener, readTls, begun: followed.begun, notReady: followed.notReady },
    close() {
      followed.close()
      return listener.close()
    },
  }
}

function certificateUse({ listen: { behind_proxy: proxy }, mtls_listen: mtls }: Settings) {
  if (mtls === undefined && proxy?.client_certificate === undefined) return undefined
  return { listener: mtls?.public_url }
}

/** @throws Error that names the key */
function socketFor(key: string, socket: string | undefined, uri: string | undefined): string {
  try {
    return socket ?? socketOf(uri)
  } catch (error) {
    throw new Error(`${key}: ${error instanceof Error ? error.message : 'it has no socket'}`)
  }
}

async function readPair(
  files: Settings['listen']['tls'],
  readFile: ListenersOptions['readFile'],
): Promise<Tls | undefined> {
  if (files === undefined || 'workload_api' in files) return undefined
  return { cert: await readFile(files.cert_file), key: await readFile(files.key_file) }
}

async function openWebhooks(
  { observers: { github_webhooks: webhooks } }: Settings,
  { readSecret, secretAlerts }: Pick<ListenersOptions, 'readSecret' | 'secretAlerts'>,
): Promise<WebhookOptions> {
  if (webhooks === undefined) return {}
  const githubWebhooks = () => readWebhookSecrets(readSecret, webhooks.secret_file)
  await githubWebhooks()
  return { githubWebhooks, ...(secretAlerts && { secretAlerts }) }
}

/** Ready: the ledger answers, its clock is ours, and policy can be judged. */
async function notReady(broker: Broker, stopping: boolean): Promise<string | undefined> {
  if (stopping) return 'the broker is stopping'
  const stale = broker.stale()
  if (stale !== undefined) return stale
  try {
    await broker.ledger.read.meta('ready')
    const offset = Math.abs((await broker.ledger.now()) - broker.now())
    if (offset > broker.limits.ledgerClockOffsetMs) return "the clock is not the ledger's"
    return broker.policy.notReady?.()
  } catch {
    return 'the ledger does not answer'
  }
}
