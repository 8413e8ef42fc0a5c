import { type Job, StepError } from './job.ts'

export type Signals = {
  /** Aborted by the first signal. */
  aborting: AbortSignal
  /** Where signals go from now on. */
  passTo(run: (signal: NodeJS.Signals) => void): void
  release(): void
}

/** The runner sends SIGINT, then SIGTERM, and then kills. */
export function watchSignals(job: Pick<Job, 'onSignal'>): Signals {
  const controller = new AbortController()
  let handle = (_: NodeJS.Signals) => {}
  const release = (['SIGINT', 'SIGTERM'] as const).map(signal =>
    job.onSignal(signal, () => {
      controller.abort(new StepError('the job was cancelled'))
      handle(signal)
    }),
  )
  return {
    aborting: controller.signal,
    passTo(run) {
      handle = run
    },
    release() {
      for (const off of release) off()
    },
  }
}
