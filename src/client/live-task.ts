/** A task under way: every method is one call to the broker, and what its answer says is kept. */
import { readAsked, readCredential, readTask, readTicket, readTime } from './answers.ts'
import type { Ask } from './asks.ts'
import { Credential } from './credential.ts'
import { heartbeats } from './heartbeats.ts'
import { type HeldCredentials, holdCredentials } from './held-credentials.ts'
import { keepAlive } from './keep-alive.ts'
import { CLIENT_LIMITS } from './limits.ts'
import { MayflyError } from './mayfly-error.ts'
import type { Broker, OpenedTask } from './open-task.ts'
import { waitForReceipt } from './receipt.ts'
import type { EndOptions, Signal, Task, TaskAsk, TaskAsks } from './task.ts'
import {
  completeCall,
  type Declared,
  extendCall,
  giveBackCall,
  mintCall,
  type Outcome,
  readCall,
  type TaskKey,
  ticketCall,
  type Wish,
} from './task-calls.ts'
import { createRecord, type TaskRecord } from './task-record.ts'
import { type Call, request } from './transport.ts'
import { waitForApproval } from './wait-for-approval.ts'

/** What the methods of one task share. */
type Live = {
  key: TaskKey
  record: TaskRecord
  held: HeldCredentials
  call(what: Call, options?: Signal): Promise<unknown>
  beat: ReturnType<typeof heartbeats>
}

export function liveTask<Asks extends readonly Ask[]>(
  { world, url, posture }: Pick<Broker, 'world' | 'url' | 'posture'>,
  asked: Asks,
  opened: OpenedTask,
): Task<Asks> {
  const { aheadMs } = opened
  const { id, agent, heartbeatSeconds } = opened.task
  const key = { id, token: opened.token }
  const over = new AbortController()
  const record = createRecord(opened, asked, () => {
    life.stop()
    held.drop()
    over.abort(new MayflyError(`task ${id} has ended`, { code: 'task_not_active' }))
  })

  async function call(what: Call, { signal }: Signal = {}): Promise<unknown> {
    try {
      return await request(world, url, { ...what, ...(signal && { signal }) })
    } catch (error) {
      if (error instanceof MayflyError && error.code === 'task_not_active') record.close()
      throw error
    }
  }
  const held = holdCredentials({
    now: () => world.now() + aheadMs,
    deadline: () => record.deadline.getTime(),
    async mint(ask) {
      const minted = readCredential(await call(mintCall(key, { ask })))
      return new Credential(record.asks.find(one => one.id === ask)!.asked, minted)
    },
  })
  const beat = heartbeats(key, call, posture)
  const life = keepAlive(world, {
    ...{ id, heartbeatSeconds },
    deadline: () => record.deadline.getTime() - aheadMs,
    beat: ({ signal, deadlineMs }) => beat({ signal }, deadlineMs),
  })
  life.whenEnded(() => record.close())
  if (record.state !== 'active') record.close()

  /** What a scope that ends says, where its own word was lost. */
  let wanted: Outcome = 'completed'
  async function end(outcome: Outcome, { detail, ...options }: EndOptions = {}) {
    wanted = outcome
    // A task whose end could not be told lapses sooner.
    life.stop()
    return record.note(readTask(await call(completeCall(key, outcome, detail), options)))
  }

  return {
    ...{ id, agent, token: key.token, decision: opened.decision, heartbeatSeconds, signal: over.signal },
    get state() {
      return record.state
    },
    get deadline() {
      return record.deadline
    },
    get asks() {
      // Its first ones are those of the opening, in their order.
      return [...record.asks] as unknown as TaskAsks<Asks>
    },
    ...methodsOf({ key, record, held, call, beat }),
    async waitForApproval({ ask, ...options } = {}) {
      const wait = { ...options, ...(ask && { ask: record.find(ask).id }) }
      await waitForApproval(what => call(what, options), world, key, { ...wait, note: record.note })
    },
    complete: options => end('completed', options),
    fail: options => end('failed', options),
    cancel: options => end('cancelled', options),
    receipt: options => waitForReceipt(what => call(what, options), world, key, options),
    async [Symbol.asyncDispose]() {
      if (!over.signal.aborted) await end(wanted)
    },
  }
}

type Methods = 'credential' | 'giveBack' | 'ask' | 'read' | 'ticket' | 'extend' | 'heartbeat'

function methodsOf({ key, record, held, call, beat }: Live): Pick<Task, Methods> {
  return {
    async credential<A extends Ask>(
      ask: A | TaskAsk<A>,
      { atLeastMs = CLIENT_LIMITS.leftMs, signal }: Signal & { atLeastMs?: number } = {},
    ) {
      // It was made with this very ask.
      return (await held.get(record.find(ask).id, { atLeastMs, signal })) as Credential<A>
    },
    async giveBack({ ask, lease }, options) {
      held.forget(ask, lease)
      await call(giveBackCall(key, lease), options)
    },
    async ask<A extends Ask>(ask: A, { signal, ...options }: Declared & Wish & Signal = {}) {
      const what = mintCall(key, { authorization_details: [ask], ...options })
      const answer = readAsked(await call(what, signal && { signal }))
      if ('pending' in answer) {
        record.add({ id: answer.pending.ask, state: 'pending', authorizationDetails: ask, asked: ask })
        record.note(readTask(await call(readCall(key), signal && { signal })))
        return record.find(ask)
      }
      const { ask: id, authorizationDetails } = answer.minted
      const entry = record.add({ id, state: 'granted', authorizationDetails, asked: ask })
      held.put(new Credential(ask, answer.minted))
      return entry
    },
    read: async options => record.note(readTask(await call(readCall(key), options))),
    async ticket({ asks, signal, ...bounds }) {
      const what = ticketCall(key, { ...bounds, authorization_details: asks })
      return readTicket(await call(what, signal && { signal }))
    },
    async extend({ signal, ...wanted }) {
      const answer = await call(extendCall(key, wanted), signal && { signal })
      record.moveDeadline(readTime(answer, 'deadline') ?? record.deadline)
      return record.deadline
    },
    async heartbeat(options) {
      return readTime(await beat(options), 'heartbeat_due')
    },
  }
}
