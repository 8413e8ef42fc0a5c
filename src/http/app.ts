import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import type { Drills } from '../broker/proof/drills.ts'
import type { Facade } from '../octo-sts/facade.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import { capInFlight, createAdmission } from './admission.ts'
import { approvalRoutes } from './approvals.ts'
import { budgetRoutes } from './budgets.ts'
import { checkInRoutes } from './check-ins.ts'
import { identifyCertificate } from './client-certificate.ts'
import { correlate } from './correlate.ts'
import { drillRoutes } from './drills.ts'
import type { ForwardedCertificate } from './forwarded-certificate.ts'
import { type Env, guardHeaders, identifySource } from './guard.ts'
import { foundRoutes } from './leaks.ts'
import { type MetricsOptions, metricsRoutes } from './metrics.ts'
import { type OauthOptions, oauthRoutes } from './oauth.ts'
import { OCTO_STS_PATH, octoStsRoutes } from './octo-sts.ts'
import { renderOctoStsError } from './octo-sts-error.ts'
import { openapiDocument } from './openapi.ts'
import { operatorRoutes } from './operators.ts'
import { preapprovalRoutes } from './preapprovals.ts'
import { renderError } from './problem.ts'
import { createExchangeGate } from './rate-limit.ts'
import { registryRoutes } from './registry.ts'
import { signInRoutes } from './sign-in.ts'
import { type StsEndpoint, stsPaths, stsRoutes } from './sts.ts'
import { renderStsError } from './sts-refusal.ts'
import { taskRoutes } from './tasks.ts'
import { webIdentityRoutes } from './web-identity.ts'
import { type WebhookOptions, webhookRoutes } from './webhooks.ts'
import { type CertificateUse, type PublishedKeys, wellKnownRoutes } from './well-known.ts'

export type AppOptions = WebhookOptions &
  PublishedKeys &
  Pick<OauthOptions, 'resourceServers'> & {
    publicUrl: string
    drills: Pick<Drills, 'start'>
    registry: LiveRegistry
    /** Absent: they are not served. */
    metrics?: MetricsOptions
    /** Where AWS's SDKs find an STS. Absent: nowhere. */
    stsEndpoint?: StsEndpoint | undefined
    /** What clients of octo-sts speak. Absent: it is not served. */
    octoSts?: Facade | undefined
    proxyHops: number
    /** Where a proxy in front says what certificate its client has. */
    forwarded?: ForwardedCertificate | undefined
    /** What clients call this listener, where that is not the public URL. */
    reachedAt?: string | undefined
    /** Absent: nobody asks for certificates. */
    certificates?: CertificateUse | undefined
    version: string
    /** Whether the operators' endpoints are served here too. */
    operators: boolean
    /** Whether the broker can do its work: undefined, or what is wrong. */
    notReady: () => Promise<string | undefined>
    /** Sections of the settings file that are others than those in force, which only a restart changes. */
    restartNeeded?: () => readonly string[]
    /** Whether the process is on its way out: answers then close their connection. */
    stopping: () => boolean
  }

/** What bounds who asks, over all listeners of workloads together. */
export function createGates({ limits, now }: Pick<Broker, 'limits' | 'now'>) {
  return { ...createAdmission(limits, now), exchanges: createExchangeGate(limits, now) }
}

/** Everything the workloads' listener answers. */
export function createApp(broker: Broker, options: AppOptions, gates = createGates(broker)): Hono<Env> {
  const { limits, log } = broker
  const { admit, introspection, exchanges } = gates
  const app = shell(broker, options)
  // Before the general limits: ends are not held up by who else is asking.
  if (options.githubWebhooks !== undefined) {
    app.use('/webhooks/*', capInFlight(limits.webhooksInFlight))
    app.route('/webhooks', webhookRoutes(broker, options.githubWebhooks, options))
  }
  app.use('*', admit)
  app.get('/openapi.json', c => c.json(openapiDocument(options.publicUrl, options.version)))
  app.route('/.well-known', wellKnownRoutes(broker, options.publicUrl, options))
  app.route('/aws/.well-known', webIdentityRoutes(broker, options.publicUrl, options.webIdentityKeys))
  app.route('/oauth', oauthRoutes(broker, { ...options, exchanges, introspection }))
  if (options.octoSts !== undefined) app.route('/', octoStsRoutes(options.octoSts, exchanges))
  if (options.stsEndpoint !== undefined) app.route('/', stsRoutes(options.stsEndpoint, exchanges))
  app.route('/v1/sign-in', signInRoutes(broker))
  app.route('/v1/tasks', taskRoutes(broker, exchanges))
  app.route('/v1/leaks/found', foundRoutes(broker))
  if (options.operators) mountOperators(app, broker, options)
  log.debug({ routes: app.routes.length }, 'routes are mounted')
  return app
}

/** The operators' own listener, where one is configured. */
export function createOperatorApp(broker: Broker, options: AppOptions): Hono<Env> {
  const app = shell(broker, options)
  mountOperators(app, broker, options)
  return app
}

function mountOperators(
  app: Hono<Env>,
  broker: Broker,
  { drills, metrics, operators, registry }: AppOptions,
): void {
  // Before the rest: whoever answers comes with a sign-in, and no operator's token.
  app.route('/v1/approvals', approvalRoutes(broker))
  app.route('/v1/preapprovals', preapprovalRoutes(broker))
  app.route('/v1/tasks', checkInRoutes(broker))
  // Each team sees its own here, where the rest is for whoever may read all.
  app.route('/v1/registry', registryRoutes(broker, registry))
  app.route('/v1', operatorRoutes(broker))
  app.route('/v1/drills', drillRoutes(broker, drills))
  app.route('/v1/budgets', budgetRoutes())
  // Where workloads reach it, a scraper's token is what keeps it to scrapers.
  if (metrics !== undefined && (metrics.token !== undefined || !operators))
    app.route('/metrics', metricsRoutes(metrics))
}

/** What every listener has: errors, guards, liveness and readiness. */
function shell(broker: Broker, options: AppOptions): Hono<Env> {
  const { limits } = broker
  const app = new Hono<Env>()
  const sts = stsPaths(options.stsEndpoint)
  app.use('*', correlate(broker))
  app.onError((error, c) => {
    const isOctoSts = options.octoSts !== undefined && OCTO_STS_PATH.test(c.req.path)
    const render = isOctoSts ? renderOctoStsError : sts.includes(c.req.path) ? renderStsError : renderError
    return render(c, error, c.get('broker') ?? broker)
  })
  app.notFound(c =>
    renderError(c, new BrokerError('not_found', 'nothing is served under this path'), c.get('broker')),
  )
  app.use('*', guardHeaders(limits), identifySource(options.proxyHops))
  if (options.forwarded !== undefined) app.use('*', identifyCertificate(options.forwarded))
  const publicUrl = options.reachedAt ?? options.publicUrl
  app.use('*', async (c, next) => {
    c.set('publicUrl', publicUrl)
    // Almost every answer holds what is secret or soon untrue; what may be kept says so itself.
    c.env.outgoing.setHeader('cache-control', 'no-store')
    await next()
    // On the connection itself: Hono would build an answer that is finished already once more.
    c.env.outgoing.setHeader('x-content-type-options', 'nosniff')
    if (options.stopping()) c.env.outgoing.setHeader('connection', 'close')
  })
  app.get('/livez', c => c.json({ status: 'alive' }))
  app.get('/readyz', async c => {
    const reason = await options.notReady()
    const sections = options.restartNeeded?.() ?? []
    const restart = sections.length === 0 ? {} : { restart_needed: sections }
    return reason === undefined
      ? c.json({ status: 'ready', ...restart })
      : c.json({ status: 'not ready', reason, ...restart }, 503)
  })
  return app
}
