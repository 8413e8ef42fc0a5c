import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import { z } from 'zod'
import { readGithubAlert } from '../../issuers/shared/github-alerts.ts'
import { type GithubPush, readGithubPush } from '../../issuers/shared/github-push.ts'
import { isFromGithub, readGithubEnd } from '../../issuers/shared/github-webhook.ts'
import { RecentMap } from '../../issuers/shared/recent-map.ts'
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { takeAlert } from '../broker/leaks/secret-alerts.ts'
import { endWork } from '../broker/tasks/end-work.ts'
import type { Env } from './guard.ts'
import { createRateLimiter } from './rate-limit.ts'
import { demandContentType, readText, strictJson } from './read-body.ts'

export type WebhookOptions = {
  /** The secrets that GitHub may sign with; absent where its webhooks are not taken. */
  githubWebhooks?: () => Promise<readonly Secret[]>
  /** Tells that an alert of secret scanning waits to be looked at; absent where none are. */
  secretAlerts?: () => void
  /** Takes a push that may have changed a trust policy; absent where these are not read. */
  trustPolicies?: (push: GithubPush) => Promise<void>
}

/**
 * `/webhooks/github`: GitHub's word that a job or run is over, or that secret scanning found something. It may only
 * end and narrow things. GitHub repeats a delivery only by hand, so one that is turned away is told in the log with
 * an alarm; the poller, where there is one, and the deadline still end the task.
 */
export function webhookRoutes(
  broker: Broker,
  secrets: () => Promise<readonly Secret[]>,
  { secretAlerts: alerts, trustPolicies }: Omit<WebhookOptions, 'githubWebhooks'> = {},
): Hono<Env> {
  const { limits, now, log } = broker
  const deliveries = createRateLimiter(limits.webhooksPerMinutePerSource, limits.rateSources, now)
  const done = new RecentMap<true>(limits.webhooksRemembered, limits.webhookRememberedMs, now)
  const routes = new Hono<Env>()

  routes.use('*', async (c, next) => {
    await next()
    const { status } = c.res
    if (status !== 429 && status < 500) return
    const delivery = c.req.header('x-github-delivery')?.slice(0, 64)
    log.error({ alarm: 'webhook_turned_away', status, delivery }, 'a webhook was not taken; send it again')
  })

  routes.post('/github', async c => {
    deliveries.take(c.get('source'))
    demandContentType(c, 'application/json')
    const body = await readText(c, limits.webhookBytes)
    const [event = '', signature = '', delivery = ''] = ['event', 'signature', 'delivery'].map(name =>
      c.req.header(name === 'signature' ? 'x-hub-signature-256' : `x-github-${name}`),
    )
    if (!(await isFromGithub({ event, signature, body }, await secrets())))
      throw new BrokerError('unauthenticated', 'the body is not signed with a secret of this broker')
    // The delivery's id is not signed: with the body's digest beside it, it can hide nothing but itself.
    const id = `${delivery} ${event} ${createHash('sha256').update(body).digest('base64url')}`
    if (done.get(id)) return c.json({ ended: 0, repeated: true }, 202)
    const answer = await carryOut(event, body)
    done.set(id, true)
    log.debug({ delivery, event, ...answer }, 'a webhook was taken')
    return c.json(answer, 202)
  })

  async function carryOut(event: string, body: string): Promise<object> {
    const payload = strictJson(body, 'the body')
    const alert = readBy(readGithubAlert, event, payload)
    if (alert !== undefined) {
      const isTaken = await takeAlert(broker, alert, alerts !== undefined)
      if (isTaken === 'waiting') alerts?.()
      return { alert: 'taken' }
    }
    const push = trustPolicies && readBy(readPush, event, payload)
    if (push !== undefined) {
      await trustPolicies?.(push)
      return { push: 'noted' }
    }
    const end = readBy(readGithubEnd, event, payload)
    return { ended: end === undefined ? 0 : await endWork(broker, end, 'github-webhook') }
  }

  function readBy<Told>(
    read: (event: string, payload: unknown) => Told | undefined,
    event: string,
    payload: unknown,
  ): Told | undefined {
    try {
      return read(event, payload)
    } catch (error) {
      if (!(error instanceof z.ZodError)) throw error
      const where = error.issues.slice(0, 5).map(issue => issue.path.join('.'))
      log.error({ alarm: 'webhook_unreadable', event, where }, 'a signed webhook is not of the known form')
      throw new BrokerError('request_invalid', `the payload is not of the known form at ${where.join(', ')}`)
    }
  }

  return routes
}

const readPush = (event: string, payload: unknown) => readGithubPush(event, payload, '.github/chainguard/')
