/** `run`: a command that has the credentials for as long as it runs. */
import type { Task } from '../../src/client/index.ts'
import { OTHER_AWS_VARIABLES, WITHHELD_VARIABLES } from '../../src/sidecar/variables.ts'
import { type ChildEnd, type Job, StepError } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'
import { environmentOf, type Minted } from './outputs.ts'
import type { Signals } from './signals.ts'
import { TASK_STATE } from './state.ts'
import { tellEnd, untilQuiet } from './tell-end.ts'

/** @throws StepError where the command did not end well; the task has ended in every case that it could be told */
export async function runCommand(
  job: Job,
  task: Task,
  minted: readonly Minted[],
  { script, region }: { script: string; region: string | undefined },
  signals: Signals,
): Promise<void> {
  const child = await job.run(script, commandEnvironment(job.env, minted, { region }))
  signals.passTo(signal => child.signal(signal))
  if (signals.aborting.aborted) child.signal('SIGTERM')
  const stop = () => {
    job.warning(`task ${task.id} has ended: the command is being stopped`)
    child.signal('SIGTERM')
    const cancel = job.world.schedule(ACTION_LIMITS.graceMs, () => child.signal('SIGKILL'))
    void child.ended.then(cancel)
  }
  task.signal.addEventListener('abort', stop, { once: true })
  const end = await child.ended
  task.signal.removeEventListener('abort', stop)

  const detail = told(end)
  const isGood = end.how === 'exited' && end.code === 0
  if (task.state === 'active') {
    if (signals.aborting.aborted) await task.cancel({ detail })
    else await (isGood ? task.complete({ detail }) : task.fail({ detail }))
    job.saveState(TASK_STATE.over, 'yes')
  }
  if (signals.aborting.aborted) throw new StepError(`the job was cancelled; the command ${detail}`)
  job.info(tellEnd(await untilQuiet(job, task)))
  if (!isGood) throw new StepError(`the command ${detail}`)
}

function told(end: ChildEnd): string {
  switch (end.how) {
    case 'exited':
      return `ended with exit code ${end.code}`
    case 'signalled':
      return `was ended by ${end.signal}`
    case 'failed':
      return `could not be started (${end.code})`
  }
}

/** With these the command would have this action's inputs and state, or be an action to the runner. */
const OF_ACTIONS =
  /^(INPUT_|STATE_|ACTIONS_ID_TOKEN_REQUEST_|ACTIONS_RUNTIME_|ACTIONS_RESULTS_|ACTIONS_CACHE_)|^GITHUB_STATE$/

/** What a step of its own would find, without what only an action is given, and the credentials. */
export function commandEnvironment(
  env: Job['env'],
  minted: readonly Minted[],
  { region }: { region: string | undefined },
): Record<string, string> {
  const hasAws = minted.some(({ kind }) => kind === 'aws')
  const hidden = new Set([...WITHHELD_VARIABLES, ...(hasAws ? OTHER_AWS_VARIABLES : [])])
  const isHidden = (name: string) => hidden.has(name) || OF_ACTIONS.test(name)
  const kept = Object.entries(env).flatMap(([name, value]): [string, string][] =>
    value === undefined || isHidden(name.toUpperCase()) ? [] : [[name, value]],
  )
  return { ...Object.fromEntries(kept), ...environmentOf(minted, { region }) }
}
