/** What is known of a task, from one answer to the next. */
import type { Approval, AskState, Opened, TaskState, TaskStatus } from './answers.ts'
import type { Ask } from './asks.ts'
import { MayflyError } from './mayfly-error.ts'
import type { TaskAsk } from './task.ts'

export type TaskRecord = {
  readonly state: TaskState
  readonly deadline: Date
  readonly asks: readonly TaskAsk[]
  /** @throws MayflyError `ask_unknown` */
  find<A extends Ask>(ask: A | TaskAsk<A>): TaskAsk<A>
  add<A extends Ask>(ask: Omit<TaskAsk<A>, 'approval'>): TaskAsk<A>
  /** Takes in what an answer says. @returns the same */
  note(status: TaskStatus): TaskStatus
  moveDeadline(deadline: Date): void
  /** The task is over. */
  close(): void
}

type Entry = { -readonly [Name in keyof TaskAsk]: TaskAsk[Name] }

export function createRecord(
  { task }: Pick<Opened, 'task'>,
  asked: readonly Ask[],
  whenOver: () => void,
): TaskRecord {
  let { state, deadline } = task
  const asks = asked.map((one, index): Entry => {
    const granted = task.asks[index]!
    return { ...granted, asked: one, approval: approvalOf(task, granted.id) }
  })

  function close(): void {
    if (state === 'active') state = 'ended'
    whenOver()
  }

  return {
    get state() {
      return state
    },
    get deadline() {
      return deadline
    },
    asks,
    find<A extends Ask>(ask: A | TaskAsk<A>) {
      const found = asks.find(one => one === ask || one.asked === ask)
      if (found !== undefined) return found as TaskAsk<A>
      throw new MayflyError(
        'this ask is not one of the task: give the object it was asked with, or an entry of task.asks.\n' +
          '  For something more there is task.ask(...).',
        { code: 'ask_unknown' },
      )
    },
    add<A extends Ask>(ask: Omit<TaskAsk<A>, 'approval'>) {
      const entry = { ...ask, approval: undefined } as TaskAsk<A>
      asks.push(entry)
      return entry
    },
    note(status) {
      state = status.state
      deadline = status.deadline
      for (const one of asks) {
        one.state = stateOf(status, one.id) ?? one.state
        one.approval = approvalOf(status, one.id) ?? one.approval
        const { provider } = status.asks.find(({ id }) => id === one.id) ?? {}
        if (provider !== undefined) one.provider = provider
      }
      if (state !== 'active') close()
      return status
    },
    moveDeadline(moved) {
      deadline = moved
    },
    close,
  }
}

/** @throws MayflyError where the broker granted other asks than were made, or in another order */
export function demandSameAsks({ task }: Opened, asked: readonly Ask[]): void {
  const isSame = asked.every((ask, index) => task.asks[index]?.authorizationDetails.type === ask.type)
  if (isSame && task.asks.length === asked.length) return
  throw new MayflyError(`the broker granted other asks than were made: see task ${task.id}`, {
    code: 'answer_unexpected',
  })
}

function stateOf({ asks }: TaskStatus, id: string): AskState | undefined {
  return asks.find(one => one.id === id)?.state
}

function approvalOf({ approvals }: TaskStatus, ask: string): Approval | undefined {
  return approvals.findLast(one => one.ask === ask)
}
