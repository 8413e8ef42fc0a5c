/** A task, as its holder sees it. */
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Approval, AskAnswer, TaskState, TaskStatus } from './answers.ts'
import type { Ask } from './asks.ts'
import type { Credential } from './credential.ts'
import type { ReceiptWait } from './receipt.ts'
import type { Declared, Wish } from './task-calls.ts'

export type Signal = { signal?: AbortSignal }

/** An ask as the task has it, kept up to date; `asked` is the object that it was made with. */
export type TaskAsk<A extends Ask = Ask> = Readonly<AskAnswer> & {
  readonly asked: A
  /** Where humans are or were asked. */
  readonly approval: Approval | undefined
}

/** The asks of the opening, in their order; later ones follow. */
export type TaskAsks<Asks extends readonly Ask[]> = readonly [
  ...{ [Index in keyof Asks]: TaskAsk<Asks[Index]> },
  ...TaskAsk[],
]

/** Every method throws a `MayflyError`, or the reason of a signal that it was given. */
export type Task<Asks extends readonly Ask[] = readonly Ask[]> = AsyncDisposable & {
  readonly id: string
  /** All authority over the task: for another process of the same workload, which resumes it or ends it. */
  readonly token: Secret
  readonly agent: string
  /** The decision by which it was opened; null where it was resumed. */
  readonly decision: string | null
  /** The silence after which it lapses; null where none is agreed on. */
  readonly heartbeatSeconds: number | null
  /** As last heard of. */
  readonly state: TaskState
  readonly deadline: Date
  readonly asks: TaskAsks<Asks>
  /** Aborted as soon as it is known that the task is over: what it was given is being revoked. */
  readonly signal: AbortSignal

  /**
   * The credential of an ask: the one held, or a new one where that has less life left than `atLeastMs` (a
   * minute unless told). At most one is minted at a time; none is asked for twice because an answer was lost.
   * A signal ends the waiting only: what is minted is there for the next call.
   *
   * @param ask the object it was asked with, or an entry of `asks`
   */
  credential<A extends Ask>(
    ask: A | TaskAsk<A>,
    options?: Signal & { atLeastMs?: number },
  ): Promise<Credential<A>>
  /** Ends one credential before the task's end. It is forgotten here at once, and the next call mints another. */
  giveBack(credential: Credential, options?: Signal): Promise<void>
  /** One ask more, judged like a new one. Where humans are asked first, its state is `pending`. */
  ask<A extends Ask>(ask: A, options?: Declared & Wish & Signal): Promise<TaskAsk<A>>
  /**
   * Until humans have answered for all of the task, or for one ask: `approval_over` where something was not
   * granted, `approval_pending` when the time is up.
   */
  waitForApproval(options?: Signal & { ask?: Ask | TaskAsk; timeoutMs?: number }): Promise<void>
  /** As the broker has it now. */
  read(options?: Signal): Promise<TaskStatus>
  /** A one-use ticket for a sub-agent: which agent, for what at most, for how long. */
  ticket(
    options: Signal & { agent: string; minutes: number; asks: readonly Ask[] },
  ): Promise<{ ticket: Secret; id: string; expiresAt: Date }>
  /** So many minutes from now on, for a reason. @returns the new deadline; credentials keep theirs */
  extend(options: Signal & { minutes: number; reason: string }): Promise<Date>
  /** Sent by itself as often as was agreed. @returns when the next is due, null where none is expected */
  heartbeat(options?: Signal): Promise<Date | null>
  /** Ends it, and everything it holds. The first end stands; a second call is told of it. */
  complete(options?: EndOptions): Promise<TaskStatus>
  fail(options?: EndOptions): Promise<TaskStatus>
  cancel(options?: EndOptions): Promise<TaskStatus>
  /** The signed receipt of the settled task, a compact JWS. Undefined where it takes longer than `waitMs`. */
  receipt(options?: ReceiptWait): Promise<string | undefined>
}

export type EndOptions = Signal & { detail?: string }
