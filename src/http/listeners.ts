import type { AttestorDeps } from '../../attestors/attestor.ts'
import { socketOf } from '../../attestors/shared/workload-socket.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import type { Drills } from '../broker/proof/drills.ts'
import { networkList } from '../config/listen.ts'
import type { ResourceServer, Settings } from '../config.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { type AppOptions, createApp, createGates, createOperatorApp } from './app.ts'
import { CannotListen, checkTls, type Listener, listen, type Tls } from './listen.ts'
import type { MetricsOptions } from './metrics.ts'
import { openOctoSts } from './open-octo-sts.ts'
import { readWebhookSecrets } from './webhook-secrets.ts'
import type { WebhookOptions } from './webhooks.ts'
import type { PublishedKeys } from './well-known.ts'
import { followWorkloadCertificate, type WorkloadCertificate } from './workload-certificate.ts'

export type ListenersOptions = PublishedKeys & {
  settings: Settings
  resourceServers: () => ReadonlyMap<string, ResourceServer>
  drills: Pick<Drills, 'start'>
  /** Tells that an alert waits to be looked at; absent where none are. */
  secretAlerts: (() => void) | undefined
  registry: LiveRegistry
  version: string
  readFile: (path: string) => Promise<string>
  /** The same for secrets, which nobody else may be able to read. */
  readSecret: (path: string) => Promise<string>
  /** The text for Prometheus. */
  expose: MetricsOptions['expose']
} & Pick<AttestorDeps, 'schedule' | 'workloadApi'>

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
  const {
    settings,
    resourceServers,
    keys,
    receiptKeys,
    webIdentityKeys,
    drills,
    registry,
    version,
    readFile,
  } = given
  let stopping = false
  const own: WorkloadCertificate[] = []
  const webhooks = await openWebhooks(settings, given)
  const { token_file } = settings.metrics
  const token = token_file === undefined ? undefined : new Secret((await given.readSecret(token_file)).trim())
  if (token !== undefined && !/^[\x21-\x7e]{32,}$/.test(token.reveal()))
    throw new Error(
      `${token_file}: expected one token of at least 32 characters, such as: openssl rand -hex 32`,
    )
  const octoSts = await openOctoSts(broker, settings, registry)
  const options = {
    ...webhooks,
    ...(octoSts === undefined ? {} : { octoSts: octoSts.facade, trustPolicies: octoSts.pushed }),
    metrics: { expose: given.expose, token },
    publicUrl: settings.public_url,
    certificates: certificateUse(settings),
    stsEndpoint: settings.sts_endpoint,
    resourceServers,
    keys,
    receiptKeys,
    webIdentityKeys,
    drills,
    registry,
    version,
    operators: settings.operator_listen === undefined,
    stopping: () => stopping,
    notReady: async () => own.find(one => one.notReady())?.notReady() ?? notReady(broker, stopping),
  }
  const gates = createGates(broker)
  const opened: Opened[] = []
  const open = async (
    key: 'listen' | 'operator_listen' | 'mtls_listen',
    at: At,
    other: Partial<AppOptions>,
  ) => {
    const proxy = at.behind_proxy?.client_certificate
    const chosen: AppOptions = {
      ...{ ...options, ...other, proxyHops: at.behind_proxy?.hops ?? 0 },
      ...(proxy && { forwarded: { ...proxy, from: networkList(proxy.from) } }),
    }
    const app =
      key === 'operator_listen' ? createOperatorApp(broker, chosen) : createApp(broker, chosen, gates)
    const readTls = () => readPair(at.tls, readFile)
    const workloadApi = at.tls !== undefined && 'workload_api' in at.tls ? at.tls.workload_api : undefined
    const socket = workloadApi && socketFor(`${key}.tls`, workloadApi.socket, given.workloadApi)
    const tls: Tls | 'to come' | undefined = socket === undefined ? await readTls() : 'to come'
    const address = {
      ...{ host: at.host, port: at.port, asksForCertificates: key === 'mtls_listen' },
      ...(tls === undefined ? {} : { tls }),
    }
    const listener = await listen(app, address, broker.limits).catch((error: unknown) => {
      if (!(error instanceof CannotListen)) throw error
      throw new CannotListen(`${error.message}. Change ${key}.host or ${key}.port`, { cause: error })
    })
    opened.push({ listener, readTls })
    if (socket !== undefined) {
      const { now, jitter, log } = broker
      const wanted = { socket, spiffeId: workloadApi?.spiffe_id }
      const deps = { now, jitter, log, schedule: given.schedule }
      own.push(followWorkloadCertificate(wanted, listener.setTls, deps))
      await own.at(-1)?.begun()
    }
    return listener.url
  }
  const { operator_listen: operators, mtls_listen: mtls } = settings
  try {
    const url = await open('listen', settings.listen, {})
    const operatorUrl = operators === undefined ? url : await open('operator_listen', operators, {})
    const mtlsUrl =
      mtls && (await open('mtls_listen', mtls, { reachedAt: mtls.public_url, operators: false }))
    return {
      ...{ url, operatorUrl, mtlsUrl },
      async readTls() {
        const read = await Promise.all(opened.map(one => one.readTls()))
        for (const tls of read) if (tls !== undefined) checkTls(tls)
        return () => {
          for (const [index, tls] of read.entries())
            if (tls !== undefined) opened[index]!.listener.setTls(tls)
        }
      },
      async close() {
        stopping = true
        for (const one of own) one.close()
        await Promise.all(opened.map(one => one.listener.close()))
        await octoSts?.stop()
      },
    }
  } catch (error) {
    for (const one of own) one.close()
    await Promise.all(opened.map(one => one.listener.close()))
    throw error
  }
}

function certificateUse({ listen: { behind_proxy: proxy }, mtls_listen: mtls }: Settings) {
  if (mtls === undefined && proxy?.client_certificate === undefined) return undefined
  return { listener: mtls?.public_url }
}

type Opened = { listener: Listener; readTls: () => Promise<Tls | undefined> }
type At = Pick<Settings['listen'], 'host' | 'port' | 'tls' | 'behind_proxy'>

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

/** A file that cannot be used is told at the start, not by the first webhook. */
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
