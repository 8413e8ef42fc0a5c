import { createAlertQueue } from './broker/leaks/secret-alerts.ts'
import type { Queue } from './broker/queue.ts'
import type { Settings } from './config.ts'
import type { Core, Edge } from './open-core.ts'

/** What asks GitHub about alerts of its secret scanning, where that is configured. */
export function openAlerts({ broker }: Core, { leaks }: Settings, { schedule }: Edge): Queue | undefined {
  const issuer = leaks.github_alerts?.issuer
  const alerts = issuer === undefined ? undefined : broker.issuers.get(issuer)?.alerts
  if (issuer === undefined || alerts === undefined) return undefined
  return createAlertQueue(broker, schedule, { issuer, alerts })
}
