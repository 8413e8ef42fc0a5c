/** A CI: its runs, and when each of their jobs is over. Nobody but the oracle knows it all. */
import type { RunAttempt, WorkOutcome, WorkState } from '../../issuers/shared/work.ts'

export const CI = 'ci.sim'

type Job = { overAt: number; outcome: WorkOutcome }
export type CiRun = RunAttempt & { jobs: ReadonlyMap<string, Job> }

export type Ci = ReturnType<typeof createCi>

export function createCi(now: () => number) {
  const runs = new Map<string, CiRun>()
  const keyOf = ({ repository, run, attempt }: RunAttempt) => [CI, repository, run, attempt].join('/')

  /** Of one job, or of the whole run. */
  function endOf({ jobs }: CiRun, job: string): Job | undefined {
    if (job !== '') return jobs.get(job)
    return [...jobs.values()].toSorted((a, b) => a.overAt - b.overAt).at(-1)
  }

  function stateOf(run: CiRun, job: string): WorkState {
    const end = endOf(run, job)
    if (end === undefined || end.overAt > now()) return { state: 'running' }
    return { state: 'ended', outcome: end.outcome }
  }

  return {
    start(run: CiRun): void {
      runs.set(keyOf(run), run)
    },
    all: () => [...runs.values()],
    endOf,
    /** Of what the ledger calls so. */
    endBy(runKey: string, job: string): Job | undefined {
      const run = runs.get(runKey)
      return run === undefined ? undefined : endOf(run, job)
    },
    /** What whoever asks is shown. */
    jobs(attempt: RunAttempt): ReadonlyMap<string, WorkState> | undefined {
      const run = runs.get(keyOf(attempt))
      return run && new Map([...run.jobs.keys()].map(job => [job, stateOf(run, job)]))
    },
    run(attempt: RunAttempt): WorkState | undefined {
      const run = runs.get(keyOf(attempt))
      return run && stateOf(run, '')
    },
  }
}
