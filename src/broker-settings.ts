import type { Broker } from './broker/broker.ts'
import type { Settings } from './config.ts'
import { LIMITS, type Limits } from './limits.ts'
import type { LifeCycle } from './policy/life-cycle.ts'

type Given = 'limits' | 'lifeCycle' | 'leaks' | 'defaults' | 'verifyRunning' | 'budgets'

/** What a broker goes by as its settings have it. */
export function brokerSettings(settings: Settings): Pick<Broker, Given> {
  const { task_defaults: task, observers, leaks, budgets } = settings
  return {
    limits: effectiveLimits(settings),
    lifeCycle: lifeCycleOf(settings),
    leaks: { quarantine: leaks.quarantine },
    defaults: {
      taskMinutes: task.minutes,
      ...(task.heartbeat_seconds === undefined ? {} : { heartbeatSeconds: task.heartbeat_seconds }),
      ...(task.check_in === undefined ? {} : { checkIn: task.check_in }),
    },
    ...(observers.verify_job_running === undefined ? {} : { verifyRunning: observers.verify_job_running }),
    budgets,
  }
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
