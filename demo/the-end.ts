import { setTimeout } from 'node:timers/promises'
import { CommandError } from '../src/cli/terminal.ts'
import type { Held, Work } from './held.ts'
import { granted, type Lease, type MayflyClient, type Task, type TaskState } from './mayfly-client.ts'
import type { Stage } from './stage.ts'
import { clockTime, type Timeline } from './timeline.ts'

/** Revocation is a matter of milliseconds; a demo that waits this long has found a fault. */
const LONGEST_WAIT_MS = 10_000

/** The tasks end, and everything revocable dies with them. Returns the one that nobody can revoke. */
export async function theEnd(
  { mayfly, operatorToken }: Stage,
  timeline: Timeline,
  { release, parent, child, upgrade }: { release: Work; parent: Work; child: Work; upgrade: Work },
): Promise<Held> {
  timeline.chapter(
    'The work is done: the tasks end, and their credentials die with them',
    'Nobody cleans up. A workload says that it is done; Mayfly revokes what its task was given, and asks the\n' +
      "provider whether it is really dead. The sub-agent says nothing: its task ends with its parent's.",
  )

  // 1. Three ends are told; the fourth follows.
  timeline.tried('release job', 'tells Mayfly that it is done', await mayfly.complete(release.task), 200)
  timeline.tried('coding agent', 'tells Mayfly that it is done', await mayfly.complete(parent.task), 200)
  timeline.tried('upgrader', 'tells Mayfly that it is done', await mayfly.complete(upgrade.task), 200)
  const all = [release, parent, upgrade, child]
  const states = await Promise.all(all.map(({ task }) => whenRevoked(mayfly, task)))
  const revoked = states.flatMap(({ credentials }) => credentials).filter(isRevocable)
  timeline.ensure(!revoked.some(isOpen), 'whatever can be revoked is revoked when its task ends')
  timeline.step('Mayfly', `has revoked ${revoked.length} credentials`)
  const childEnd = states.at(-1)?.end
  timeline.step('sub-agent', `finds its task ${childEnd}: its parent's is over`)
  timeline.ensure(childEnd === 'cancelled', "a sub-agent's task ends with its parent's")

  // 2. Each credential is tried once more, where it worked before.
  const held = all.flatMap(work => work.held)
  for (const { holder, what, use } of held.filter(isRevocable))
    timeline.tried(holder, `${what} again`, await use(), 401)
  const another = await mayfly.credential(release.task, release.task.asks[0] ?? '')
  timeline.tried('release job', 'asks Mayfly for another GitHub token', another, 409)

  // 3. What is left.
  const items = await mayfly.leases(operatorToken, 'outstanding')
  for (const lease of items) timeline.step('Mayfly', `still lists: ${left(lease)}`)
  const session = held.find(one => !isRevocable(one))
  if (session === undefined) throw new CommandError('the demo cannot go on: no credential is expiry_only')
  return session
}

/** It cannot be ended before its time: it is watched until it has stopped by itself. */
export async function theOneThatNobodyCanRevoke(
  { installation: { clock }, broker, mayfly }: Stage,
  timeline: Timeline,
  { task, session }: { task: Task; session: Held },
): Promise<void> {
  const stopsAt = clockTime(session.expiresAt)
  timeline.chapter(
    `What nobody can revoke stops by itself, the last of it at ${stopsAt}`,
    'AWS has no call that ends one session. Mayfly can deny it by its role (docs/aws.md), but not here, where it\n' +
      'may not change roles. It does not pretend: such a credential is "expiry_only", and carries a policy that\n' +
      'allows nothing after the deadline of its task. Until then it works, so such tasks should be short.',
  )
  const { holder, what, use } = session
  timeline.tried(holder, `${what} again`, await use(), 200)
  timeline.step('demo', `moves the clock of everybody on to ${stopsAt}`)
  clock.advance(session.expiresAt - clock.now())
  timeline.tried(holder, `${what} again`, await use(), 403)
  timeline.step('demo', 'moves the clock on by a minute: Mayfly allows for clocks that differ')
  clock.advance(60_000)
  await broker.look()
  const { state } = await poll(mayfly, task, task => task.state === 'settled')
  timeline.step('Mayfly', `calls the task ${state}: nothing that it was given is alive`)
  timeline.ensure(state === 'settled', 'a task is settled when the last of its credentials is over')
}

function whenRevoked(mayfly: MayflyClient, task: Task): Promise<TaskState> {
  return poll(mayfly, task, ({ state, credentials }) => {
    return state !== 'active' && !credentials.filter(isRevocable).some(isOpen)
  })
}

/** Looks at the task until it is so, or until that takes too long; either way, how it was last seen. */
export async function poll(
  mayfly: MayflyClient,
  task: Task,
  isSo: (task: TaskState) => boolean,
): Promise<TaskState> {
  const giveUp = AbortSignal.timeout(LONGEST_WAIT_MS)
  for (;;) {
    const seen = granted(await mayfly.show(task))
    if (isSo(seen) || giveUp.aborted) return seen
    await setTimeout(5)
  }
}

function left({ issuer, agent, revocability, expires_at }: Lease): string {
  return `${issuer} for agent "${agent}", ${revocability}, stops by itself at ${clockTime(expires_at)}`
}

const isRevocable = ({ revocability }: { revocability: string }) => revocability !== 'expiry_only'
const isOpen = ({ state }: { state: string }) => state !== 'closed'
