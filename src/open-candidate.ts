/** The candidate set of policies: read from its folder, and judged by in a thread of its own. */
import type { Broker, Log } from './broker/broker.ts'
import type { Shadow } from './broker/decisions/shadow.ts'
import type { Schedule } from './broker/wake-loop.ts'
import { policyProblem, readPolicies } from './config/policies.ts'
import { describeProblem } from './config/problem.ts'
import type { ConfigFiles, Settings } from './config.ts'
import { noMetrics } from './metrics.ts'
import { createPolicyHost, type PreparedPolicies } from './policy-host/host.ts'

export type Candidate = {
  /** Reads it again. What is wrong with it is a warning, and the broker goes on without one. */
  load(): Promise<void>
  stop(): Promise<void>
}

export function openCandidate(
  { broker, shadow }: { broker: Broker; shadow: Shadow },
  { policies_shadow_dir: folder }: Pick<Settings, 'policies_shadow_dir'>,
  { files, schedule }: { files: ConfigFiles; schedule: Schedule },
): Candidate {
  if (folder === undefined) return { load: async () => {}, stop: () => shadow.stop() }
  const log = milder(broker.log)
  const host = createPolicyHost(broker, { schedule, log, metrics: noMetrics })
  let current: PreparedPolicies | undefined

  async function load(): Promise<void> {
    const former = current
    try {
      const loaded = await host.prepare(await readPolicies(files, folder!))
      if (loaded.ok) {
        current = loaded.prepared
        shadow.use(current.engine)
        broker.log.info({ hash: current.hash }, 'the candidate policies are judged beside those in force')
      } else refuse(describeProblem(policyProblem(loaded.problems[0]!)))
    } catch (error) {
      refuse(error instanceof Error ? error.message : 'it could not be read')
    }
    if (former !== current) await former?.discard()
  }

  function refuse(problem: string): void {
    current = undefined
    shadow.use(undefined, problem.slice(0, broker.limits.detailChars))
    broker.log.warn({ problem }, 'the candidate policies are not judged by')
  }

  return {
    load,
    async stop() {
      await shadow.stop()
      await host.stop()
    },
  }
}

/** What would be an alarm of the policies in force is none of a candidate. */
function milder(log: Log): Log {
  return {
    ...log,
    error: ({ alarm: _, ...fields }, message) => log.warn(fields, `candidate policies: ${message}`),
  }
}
