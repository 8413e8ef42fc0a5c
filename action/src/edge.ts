/** The real job: the runner's commands and files, this process, its clock and its network. */
import { tmpdir } from 'node:os'
import type { Job } from './job.ts'
import { jobOn } from './job-on.ts'
import { runScript } from './run-script.ts'
import * as core from './toolkit.ts'

export function realJob(env: Job['env']): Job {
  return jobOn({
    core,
    env,
    world: {
      fetch: (input, init) => globalThis.fetch(input, init),
      now: () => Date.now(),
      schedule(ms, run, { background = false } = {}) {
        const timer = setTimeout(run, ms)
        if (background) timer.unref()
        return () => clearTimeout(timer)
      },
    },
    onSignal(signal, run) {
      process.on(signal, run)
      return () => process.off(signal, run)
    },
    run: (script, childEnv) => runScript(script, childEnv, env.RUNNER_TEMP ?? tmpdir()),
  })
}
