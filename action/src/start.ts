/** The step itself: a task, its credentials, and what becomes of them. */
import { createMayfly, fromGithubActions, type Mayfly, type Task } from '../../src/client/index.ts'
import { runCommand } from './command.ts'
import { explain, waitingLine } from './explain.ts'
import { readInputs, type Wanted } from './inputs.ts'
import { type Job, StepError } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'
import { mintAll, setOutputs } from './outputs.ts'
import { withPatience } from './patience.ts'
import { plain } from './plain.ts'
import { type Signals, watchSignals } from './signals.ts'
import { TASK_STATE } from './state.ts'

export async function start(job: Job): Promise<void> {
  let wanted: Wanted | undefined
  const signals = watchSignals(job)
  try {
    // 1. What can be refused without opening anything.
    wanted = readInputs(job)
    demandFiles(job, wanted)
    const mayfly = createMayfly({ url: wanted.url, evidence: maskedEvidence(job, wanted), ...job.world })

    // 2. A task, known to the post step before anything else is done with it.
    const task = await open(job, mayfly, wanted, signals.aborting)
    job.mask(task.token.reveal())
    job.saveState(TASK_STATE.id, task.id)
    job.saveState(TASK_STATE.token, task.token.reveal())
    job.saveState(TASK_STATE.url, mayfly.url)
    job.saveState(TASK_STATE.lifetime, wanted.lifetime)

    // 3. Its credentials, and whoever they are for. What goes wrong from here on ends the task.
    try {
      demandQuietLife(job, task, wanted)
      await use(job, task, wanted, signals)
    } catch (error) {
      await endAfter(job, task, signals.aborting.aborted)
      throw error
    }
  } catch (error) {
    job.fail(explain(error, job, wanted))
  } finally {
    signals.release()
  }
}

async function use(job: Job, task: Task, wanted: Wanted, signals: Signals): Promise<void> {
  job.output('task-id', plain(task.id))
  job.info(
    `task ${task.id} of agent ${task.agent}, until ${task.deadline.toISOString()} at the latest ` +
      `(lifetime: ${wanted.lifetime})`,
  )
  const pending = task.asks.filter(({ state }) => state === 'pending')
  if (pending.length > 0) {
    job.notice(waitingLine(pending, wanted.waitMs))
    await task.waitForApproval({ timeoutMs: wanted.waitMs, signal: signals.aborting })
  }
  const credentials = await mintAll(job, task, wanted.asks, signals.aborting)
  signals.aborting.throwIfAborted()
  if (wanted.lifetime === 'step') await runCommand(job, task, credentials, wanted, signals)
  else setOutputs(job, credentials, wanted)
}

/** Should an answer be lost for good, the task that it spoke of is held by nobody, and ends with the job. */
function open(job: Job, mayfly: Mayfly, wanted: Wanted, signal: AbortSignal): Promise<Task> {
  const { agent, purpose, justification, minutes, lifetime, asks } = wanted
  return withPatience(job, signal, () =>
    mayfly.openTask({
      ...{ purpose, lifetime, signal, asks: asks.map(({ ask }) => ask) },
      ...(agent === undefined ? {} : { agent }),
      ...(justification === undefined ? {} : { justification }),
      ...(minutes === undefined ? {} : { minutes }),
      // Only beside a command does anything of this action run that could speak for the task.
      ...(lifetime === 'step' ? { heartbeatSeconds: ACTION_LIMITS.heartbeatSeconds } : {}),
    }),
  )
}

/** Without these files the toolkit prints outputs and state to the log. */
function demandFiles({ env }: Job, wanted: Wanted): void {
  const isExported = wanted.lifetime !== 'step' && wanted.exported !== 'nothing'
  const needed = ['GITHUB_OUTPUT', 'GITHUB_STATE', ...(isExported ? ['GITHUB_ENV'] : [])]
  const missing = needed.find(name => !env[name])
  if (missing !== undefined)
    throw new StepError(`${missing} is not set: this runner is too old, or this is no GitHub Actions job`)
}

/** Evidence is never printed; should anything ever, the runner does not show it. */
function maskedEvidence(job: Job, { audience }: Wanted) {
  const source = fromGithubActions(job.env, audience === undefined ? {} : { audience })
  return async (wanted: Parameters<typeof source>[0]) => {
    const token = await source(wanted)
    job.mask(token)
    return token
  }
}

/** Between the steps of a job nothing of this action runs: a task that must be heard of would lapse among them. */
function demandQuietLife(job: Job, task: Task, { lifetime }: Wanted): void {
  const { heartbeatSeconds: silence } = task
  if (lifetime === 'step' || silence === null) return
  if (job.world.now() + silence * 1_000 >= task.deadline.getTime()) return
  throw new StepError(
    `tasks of agent ${plain(task.agent)} lapse after ${silence} s of silence, and between the steps of a job nothing ` +
      'of this action runs that could speak for one.\n' +
      '  Give the command to this step as run: (lifetime: step), take minutes that are no longer than that silence,\n' +
      "  or have heartbeat_seconds taken out of the agent's file or the broker's settings.",
  )
}

/** What led here is told; should the end not be, the post step tells it once more. */
async function endAfter(job: Job, task: Task, isCancelled: boolean): Promise<void> {
  try {
    if (task.state === 'active')
      await (isCancelled ? task.cancel({ detail: 'cancelled' }) : task.fail({ detail: 'the step failed' }))
    job.saveState(TASK_STATE.over, 'yes')
  } catch {
    job.warning(
      `task ${task.id} could not be ended now; the post step tries again, and it ends with the job in any case`,
    )
  }
}
