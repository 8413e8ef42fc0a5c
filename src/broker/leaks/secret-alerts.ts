/**
 * A provider's secret scanning found something. What it is, is asked of the provider with a credential of the
 * broker's own, one for all alerts of a repository that wait; what nobody here knows is counted and forgotten.
 */
import { ProviderUnavailable } from '../../../issuers/issuer.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { SecretAlertNotice, SecretAlerts } from '../../../issuers/shared/secret-alerts.ts'
import type { SecretAlertRow } from '../../store/rows.ts'
import { backoffMs } from '../backoff.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { withOwnLease } from '../credentials/system-lease.ts'
import { createQueue, type Queue } from '../queue.ts'
import type { Schedule } from '../wake-loop.ts'
import { withFreshConfiguration } from '../with-fresh-configuration.ts'
import { findLeak } from './find-leak.ts'
import { reportLeak } from './report-leak.ts'

const CLAIM = 'secret-alerts/github'

/** What came of a notice: settled at once, waiting to be looked at, or nothing that could be done. */
export type TakenAlert = 'known' | 'unknown' | 'waiting' | 'not_looked_at'

/**
 * @param mayAsk whether an issuer is configured by which alerts are read.
 * @throws BrokerError `rate_limited` where too many wait already
 */
export async function takeAlert(
  broker: Broker,
  notice: SecretAlertNotice,
  mayAsk: boolean,
): Promise<TakenAlert> {
  const { repository, repositoryName: repository_name, number, secret } = notice
  const alert = { id: `${repository}/${number}`, repository, repository_name, number }
  if (secret !== undefined) return (await judge(broker, alert, secret)) ? 'known' : 'unknown'
  if (!mayAsk) {
    broker.metrics.secretAlert('not_looked_at')
    broker.log.warn(
      { alarm: 'alert_not_looked_at', repository, number },
      'no issuer reads alerts (leaks.github_alerts)',
    )
    return 'not_looked_at'
  }
  const { secretAlerts, budgetRetryAfterMs } = broker.limits
  if (await broker.ledger.write(tx => tx.noteAlert(alert, secretAlerts))) return 'waiting'
  throw new BrokerError('rate_limited', `${secretAlerts} alerts wait to be looked at`, {
    retryAfterMs: budgetRetryAfterMs,
  })
}

export function createAlertQueue(
  broker: Broker,
  schedule: Schedule,
  by: { issuer: string; alerts: SecretAlerts },
): Queue {
  let outcome: Looked = 'all'
  // A broker whose files are not in force mints nothing: others look, and it does when it is back.
  const isOthers = () => broker.stale() !== undefined || outcome === 'another broker is at it'
  return createQueue(broker, schedule, {
    name: 'secret-alerts',
    async doSome() {
      outcome = broker.stale() === undefined ? await lookAtDue(broker, by) : 'all'
      return outcome === 'some'
    },
    nextDue: async () => (isOthers() ? null : broker.ledger.read.nextAlertDue()),
  })
}

/** Of what is due. */
type Looked = 'all' | 'some' | 'another broker is at it'

/** One batch, that no other broker is at. */
async function lookAtDue(broker: Broker, by: { issuer: string; alerts: SecretAlerts }): Promise<Looked> {
  const { ledger, limits } = broker
  const now = await ledger.now()
  const due = await ledger.read.alertsDue(now, limits.secretAlertBatch)
  if (due.length === 0) return 'all'
  const claim = await ledger.write(tx => tx.takeClaim(CLAIM, tx.now + limits.secretAlertClaimMs))
  if (claim === undefined) return 'another broker is at it'
  try {
    for (const alerts of Map.groupBy(due, alert => alert.repository).values())
      await lookAtRepository(broker, by, alerts)
  } finally {
    await ledger.write(tx => tx.giveClaim(CLAIM, claim.fence, { pausedUntil: null, due_at: null }))
  }
  return due.length === limits.secretAlertBatch ? 'some' : 'all'
}

/** What goes wrong here concerns this repository only. */
async function lookAtRepository(
  broker: Broker,
  { issuer, alerts }: { issuer: string; alerts: SecretAlerts },
  rows: readonly SecretAlertRow[],
): Promise<void> {
  const open = new Map(rows.map(row => [row.id, row]))
  const [{ repository, repository_name: name }] = rows as [SecretAlertRow, ...SecretAlertRow[]]
  try {
    const ask = alerts.ask(repository, name)
    await withFreshConfiguration(broker, within =>
      withOwnLease(within, issuer, ask, 'read secret scanning alerts', async ({ secret, lease }) => {
        for (const row of rows) {
          const { seen } = await alerts.found(row, secret, lease)
          if (seen === undefined) broker.metrics.secretAlert('gone')
          else await judge(broker, row, seen)
          await broker.ledger.write(tx => tx.closeAlert(row.id))
          open.delete(row.id)
        }
      }),
    )
  } catch (error) {
    await putOff(broker, issuer, [...open.values()], error)
  }
}

/** Tried again, later each time, and then left to people: the provider may never let us read it. */
async function putOff(
  broker: Broker,
  issuer: string,
  rows: readonly SecretAlertRow[],
  error: unknown,
): Promise<void> {
  const { backoffBaseMs: baseMs, backoffCapMs: capMs, retryAfterCapMs, secretAlertAttempts } = broker.limits
  const isTold = error instanceof ProviderUnavailable || error instanceof BrokerError
  const asked = Math.min(isTold ? (error.retryAfterMs ?? 0) : 0, retryAfterCapMs)
  const last_error = (isTold ? error.message : 'an unexpected error').slice(0, 200)
  for (const { id, attempts: before, repository, number } of rows) {
    const attempts = before + 1
    if (attempts >= secretAlertAttempts) {
      await broker.ledger.write(tx => tx.closeAlert(id))
      broker.metrics.secretAlert('not_looked_at')
      broker.log.error(
        { alarm: 'alert_not_looked_at', issuer, repository, number },
        'an alert could not be read: look at it',
      )
      continue
    }
    // Not spread: what failed together is asked for by one credential again.
    const wait = Math.max(asked, backoffMs({ baseMs, capMs }, attempts))
    await broker.ledger.write(tx => tx.deferAlert(id, { due_at: tx.now + wait, attempts, last_error }))
  }
  broker.log.warn({ issuer, count: rows.length, err: error }, 'alerts could not be read; trying again')
}

/** @returns whether it is one of ours. */
async function judge(
  broker: Broker,
  { repository_name: name, number }: Pick<SecretAlertRow, 'repository_name' | 'number'>,
  secret: Secret,
): Promise<boolean> {
  const found = await findLeak(broker, { token: secret.reveal() }, { named: true })
  broker.metrics.secretAlert(found === undefined ? 'unknown' : 'known')
  if (found === undefined) return false
  const reason = `secret scanning alert ${number} of ${name}`
  await reportLeak(broker, found, { source: 'github', by: 'github-webhook', reason })
  return true
}
