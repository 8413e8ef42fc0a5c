import { setTimeout } from 'node:timers/promises'
import type { Held, Work } from './held.ts'
import { granted, type MayflyClient, type Task, type TaskState } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { clockTime, type Timeline } from './timeline.ts'

/** Revocation is a matter of milliseconds; a demo that waits this long has found a fault. */
const LONGEST_WAIT_MS = 10_000

/** The tasks end, and everything revocable dies with them. Returns what nobody can revoke. */
export async function theEnd(
  { mayfly }: Stage,
  timeline: Timeline,
  { release, parent, child }: { release: Work; parent: Work; child: Work },
): Promise<Held[]> {
  timeline.chapter(
    'The work is done: the tasks end, and their credentials die with them',
    'Nobody cleans up. Each job says that it is done, Mayfly revokes what the task was given and asks the\n' +
      'provider whether it is really dead. The sub-agent says nothing: its task ends because its parent does.',
  )

  // 1. Two ends are told; the third follows.
  timeline.tried('release job', 'tells Mayfly that it is done', await mayfly.complete(release.task), 200)
  timeline.tried('coding agent', 'tells Mayfly that it is done', await mayfly.complete(parent.task), 200)
  const ended = await Promise.all([release, parent, child].map(work => revoked(mayfly, work.task)))
  const childEnd = ended[2]?.end
  timeline.step('Mayfly', `ended the sub-agent's task with its parent's: ${childEnd}`)
  timeline.ensure(childEnd === 'cancelled', "a sub-agent's task ends with its parent's")
  const open = ended
    .flatMap(task => task.credentials)
    .filter(isRevocable)
    .filter(isOpen)
  timeline.ensure(open.length === 0, 'every revocable credential is revoked within seconds')
  timeline.step('Mayfly', 'revoked everything that can be revoked')

  // 2. The credentials themselves are tried, at their providers.
  const held = [...release.held, ...parent.held, ...child.held]
  for (const { holder, what, use } of held.filter(isRevocable)) {
    timeline.tried(holder, `${what} again`, await use(), 401)
  }
  const another = await mayfly.credential(release.task, release.task.asks[0] ?? '')
  timeline.tried('release job', 'asks Mayfly for another GitHub token', another, 409)

  // 3. What is left.
  return held.filter(one => !isRevocable(one))
}

/** One that nobody can end before its time: it is watched until it has stopped by itself. */
export async function theOneThatNobodyCanRevoke(
  { installation: { clock }, broker, mayfly }: Stage,
  timeline: Timeline,
  { task, session }: { task: Task; session: Held },
): Promise<void> {
  const stopsAt = clockTime(session.expiresAt)
  timeline.chapter(
    `AWS cannot revoke a session: this one stops by itself at ${stopsAt}`,
    'AWS has no call that ends one session, and Mayfly does not pretend. It calls such a credential\n' +
      '"expiry_only" and makes it carry its own end: a policy that allows nothing after the deadline of the task.',
  )
  const { holder, what, use } = session
  timeline.tried(holder, `${what}, its task over`, await use(), 200)
  timeline.step('demo', `moves the clock of Mayfly and of all providers to ${stopsAt}`)
  clock.advance(session.expiresAt - clock.now())
  timeline.tried(holder, `${what} again`, await use(), 403)
  timeline.step('demo', 'moves the clock on by a minute, which Mayfly waits lest clocks differ')
  clock.advance(60_000)
  await broker.look()
  const { state } = await until(
    () => mayfly.show(task),
    ({ state }) => state === 'settled',
  )
  timeline.step('Mayfly', `the task is ${state}: nothing that it was given is alive`)
  timeline.ensure(state === 'settled', 'a task settles when the last of its credentials is over')
}

function revoked(mayfly: MayflyClient, task: Task): Promise<TaskState> {
  return until(
    () => mayfly.show(task),
    ({ state, credentials }) => state !== 'active' && !credentials.filter(isRevocable).some(isOpen),
  )
}

/** Asks until it is so, or until it takes too long; either way, the last answer. */
async function until(
  ask: () => ReturnType<MayflyClient['show']>,
  isSo: (task: TaskState) => boolean,
): Promise<TaskState> {
  const giveUp = AbortSignal.timeout(LONGEST_WAIT_MS)
  for (;;) {
    const task = granted(await ask())
    if (isSo(task) || giveUp.aborted) return task
    await setTimeout(5)
  }
}

const isRevocable = ({ revocability }: { revocability: string }) => revocability !== 'expiry_only'
const isOpen = ({ state }: { state: string }) => state !== 'closed'
