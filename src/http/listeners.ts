import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import type { Drills } from '../broker/proof/drills.ts'
import type { ResourceServer, Settings } from '../config.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { createApp, createOperatorApp } from './app.ts'
import { CannotListen, checkTls, type Listener, listen, type Tls } from './listen.ts'
import type { MetricsOptions } from './metrics.ts'
import { openOctoSts } from './open-octo-sts.ts'
import { readWebhookSecrets } from './webhook-secrets.ts'
import type { WebhookOptions } from './webhooks.ts'
import type { PublishedKeys } from './well-known.ts'

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
}

export type Listeners = {
  url: string
  operatorUrl: string
  /** Reads the certificates again. @returns what puts them in force. @throws where one cannot be used. */
  readTls(): Promise<() => void>
  close(): Promise<void>
}

/** The workloads' listener and, where one is configured, the operators' own; both or none. */
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
    notReady: () => notReady(broker, stopping),
  }
  const open = async (key: 'listen' | 'operator_listen', at: Settings['listen'], app: typeof createApp) => {
    const readTls = async (): Promise<Tls | undefined> =>
      at.tls === undefined
        ? undefined
        : {
            cert: await readFile(at.tls.cert_file),
            key: await readFile(at.tls.key_file),
          }
    const tls = await readTls()
    const routes = app(broker, { ...options, proxyHops: at.behind_proxy?.hops ?? 0 })
    const listener = await listen(
      routes,
      { host: at.host, port: at.port, ...(tls === undefined ? {} : { tls }) },
      broker.limits,
    ).catch((error: unknown) => {
      if (!(error instanceof CannotListen)) throw error
      throw new CannotListen(`${error.message}. Change ${key}.host or ${key}.port`, { cause: error })
    })
    return { listener, readTls }
  }
  const opened: { listener: Listener; readTls: () => Promise<Tls | undefined> }[] = [
    await open('listen', settings.listen, createApp),
  ]
  try {
    if (settings.operator_listen !== undefined)
      opened.push(await open('operator_listen', settings.operator_listen, createOperatorApp))
  } catch (error) {
    await opened[0]!.listener.close()
    throw error
  }
  return {
    url: opened[0]!.listener.url,
    operatorUrl: opened.at(-1)!.listener.url,
    async readTls() {
      const read = await Promise.all(opened.map(one => one.readTls()))
      for (const tls of read) if (tls !== undefined) checkTls(tls)
      return () => {
        for (const [index, tls] of read.entries()) if (tls !== undefined) opened[index]!.listener.setTls(tls)
      }
    },
    async close() {
      stopping = true
      await Promise.all(opened.map(one => one.listener.close()))
      await octoSts?.stop()
    },
  }
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
