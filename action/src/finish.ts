/** The post step: the task ends, whatever became of the job. */
import { createMayfly, type MayflyError, type Task } from '../../src/client/index.ts'
import { briefly } from './explain.ts'
import type { Job } from './job.ts'
import { shown } from './plain.ts'
import { TASK_STATE } from './state.ts'
import { tellEnd, untilQuiet } from './tell-end.ts'

/** Never fails the job: what cannot be told here, the job's own end tells, or the deadline. */
export async function finish(job: Job): Promise<void> {
  const [id, token, url] = [job.state(TASK_STATE.id), job.state(TASK_STATE.token), job.state(TASK_STATE.url)]
  if (token !== '') job.mask(token)
  if (id === '' || token === '' || url === '') return job.info('no task was opened: there is none to end')
  if (job.state(TASK_STATE.over) !== '') return job.info(`task ${shown(id)} has ended before`)
  if (job.state(TASK_STATE.lifetime) === 'run')
    return job.info(`task ${shown(id)} goes on until its run is over, or its deadline (lifetime: run)`)
  try {
    const mayfly = createMayfly({ url, evidence: noEvidence, ...job.world })
    const task = await mayfly.resumeTask({ id, token })
    if (task.state !== 'active') return job.info(`task ${shown(id)} has ended before`)
    await end(task, job.input('job-status'))
    job.info(tellEnd(await untilQuiet(job, task)))
  } catch (error) {
    if (isOver(error)) return job.info(`task ${shown(id)} has ended before`)
    job.warning(
      `what became of task ${shown(id)} is not known (${briefly(error)}).\n` +
        '  It ends when the broker sees that this job is over, and at its deadline at the latest.',
    )
  }
}

/** `job-status` is the job's, as it is when the post step runs. */
function end(task: Task, status: string) {
  switch (status) {
    case 'success':
      return task.complete({ detail: 'the job: success' })
    case 'failure':
      return task.fail({ detail: 'the job: failure' })
    case 'cancelled':
      return task.cancel({ detail: 'the job: cancelled' })
    default:
      return task.complete({ detail: 'the job is over; how is not known' })
  }
}

/** By the broker's word, or because its token is good no longer. */
function isOver(error: unknown): boolean {
  const { name, code, status } = error as Partial<MayflyError>
  return name === 'MayflyError' && (code === 'task_not_active' || status === 401 || status === 404)
}

function noEvidence(): never {
  throw new Error('a task that is resumed needs no evidence')
}
