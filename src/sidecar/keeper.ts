/** The tasks that a local server holds, and what is done with them. Nothing here knows of HTTP. */
import type { TaskStatus } from '../client/answers.ts'
import type { Credential } from '../client/credential.ts'
import { isPending, MayflyError } from '../client/mayfly-error.ts'
import type { Task, TaskAsk } from '../client/task.ts'
import type { World } from '../client/world.ts'
import { kindOf } from './ask-kind.ts'
import { byDetail, byRepository, type Found, type Held, type Opened } from './choose-ask.ts'
import { holdSecrets } from './held-secrets.ts'
import { SIDECAR_LIMITS } from './limits.ts'
import type { AskBody, CompleteBody, CredentialBody, LocalAsk, LocalTask, OpenBody } from './protocol.ts'
import { Refusal } from './refusal.ts'

export type Keeper = {
  add(opened: Opened): Held
  /** Undefined where none are opened here. @throws Refusal, MayflyError, whatever finding evidence throws */
  open(body: OpenBody): Promise<LocalTask>
  list(): LocalTask[]
  /** @throws Refusal */
  find(task: string): Held
  /** As the broker has it now, after at most so many seconds. */
  read(task: string, waitSeconds: number): Promise<LocalTask>
  ask(task: string, body: AskBody): Promise<LocalAsk>
  credential(body: CredentialBody): Promise<Found & { credential: Credential }>
  byHandle(handle: string, task?: string): Found
  /** @returns what was known of its credentials then. @throws Refusal, MayflyError */
  complete(task: string, body: CompleteBody): Promise<TaskStatus>
  active(): Held[]
  close(): void
}

export function createKeeper(
  world: World,
  options: { open?: (body: OpenBody) => Promise<Opened>; limits?: typeof SIDECAR_LIMITS } = {},
): Keeper {
  const { open, limits = SIDECAR_LIMITS } = options
  const all = new Map<string, Held>()
  let opening = 0

  function add(opened: Opened): Held {
    const held = { ...opened, secrets: holdSecrets(world, opened.task, limits) }
    all.set(opened.task.id, held)
    opened.task.signal.addEventListener('abort', () => held.secrets.close(), { once: true })
    return held
  }
  function makeRoom(): void {
    for (const { task } of all.values())
      if (all.size + opening >= limits.tasks && isOver(task)) all.delete(task.id)
    if (all.size + opening >= limits.tasks)
      throw new Refusal('tasks_full', `${all.size} tasks are held here, which is as many as may be: end one`)
  }
  function find(task: string): Held {
    const held = all.get(task)
    if (held === undefined) throw new Refusal('not_found', 'no such task is held here')
    return held
  }
  const among = (task: string | undefined): Held[] =>
    task === undefined ? [...all.values()].filter(one => !isOver(one.task)) : [find(task)]
  function byHandle(handle: string, task?: string): Found {
    // An ended one is found, too: that it has ended is the better answer.
    const those = task === undefined ? [...all.values()] : [find(task)]
    for (const held of those) {
      const ask = held.task.asks.find(one => one.id === handle)
      if (ask !== undefined) return { held, ask }
    }
    throw new Refusal('not_found', 'no task held here has such a handle')
  }
  function choose(body: CredentialBody): Found {
    if ('handle' in body) return byHandle(body.handle, body.task)
    const those = among(body.task)
    return 'git' in body ? byRepository(those, body.git) : byDetail(those, body.authorization_details)
  }
  return {
    add,
    async open(body) {
      if (open === undefined)
        throw new Refusal(
          'opening_refused',
          'this server holds one task and opens no others: mayfly agent opens tasks, or mayfly task open',
        )
      makeRoom()
      opening += 1
      try {
        const held = add(await open(body))
        warm(held)
        return render(held)
      } finally {
        opening -= 1
      }
    },
    list: () => [...all.values()].map(render),
    find,
    async read(task, waitSeconds) {
      const held = find(task)
      if (waitSeconds > 0 && held.task.asks.some(one => one.state === 'pending'))
        await answered(held.task, waitSeconds)
      else await held.task.read()
      return render(held)
    },
    async ask(task, { authorization_details: detail, ...wish }) {
      const held = find(task)
      if (open === undefined)
        throw new Refusal(
          'opening_refused',
          'this server gives what its task was opened for, and asks for nothing more: add an --ask to mayfly exec',
        )
      return renderAsk(await held.task.ask({ ...detail }, said(wish)))
    },
    async credential(body) {
      const found = choose(body)
      await demandGranted(found)
      return { ...found, credential: await taken(found) }
    },
    byHandle,
    async complete(task, { outcome, detail }) {
      return find(task).task[ENDS[outcome]](detail === undefined ? {} : { detail })
    },
    active: () => among(undefined),
    close() {
      for (const { secrets } of all.values()) secrets.close()
    },
  }
}

const ENDS = { completed: 'complete', failed: 'fail', cancelled: 'cancel' } as const

/** An AWS SDK waits for one second: its session is there before it asks. */
function warm({ task, secrets }: Held): void {
  for (const ask of task.asks)
    if (ask.state === 'granted' && kindOf(ask.authorizationDetails) === 'aws')
      // Whoever asks for it meets the same failure, and is told.
      secrets.take(ask).catch(() => {})
}

type Said<T> = { [Name in keyof T]: Exclude<T[Name], undefined> }

/** A member that was not said is absent. */
export function said<T extends object>(body: T): Said<T> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Said<T>
}

/** Humans may be asked again at a mint: who they are is then looked up. */
async function taken({ held, ask }: Found): Promise<Credential> {
  try {
    return await held.secrets.take(ask)
  } catch (error) {
    if (!isPending(error)) throw error
    await held.task.read()
    throw pending(ask)
  }
}

/** What waited may have been answered since it was last heard of. */
async function demandGranted({ held, ask }: Found): Promise<void> {
  if (ask.state === 'pending') await held.task.read()
  if (ask.state === 'granted') return
  if (ask.state === 'pending') throw pending(ask)
  const reason = ask.approval?.reason
  throw new Refusal('ask_over', `the ask ${ask.id} is ${ask.state}${reason ? `, because: ${reason}` : ''}`)
}

function pending({ id, approval }: TaskAsk): Refusal {
  return new Refusal(
    'approval_pending',
    `the ask ${id} waits for humans: try again when they have answered`,
    {
      approvals: approval === undefined ? [] : [approval.id],
    },
  )
}

async function answered(task: Task, seconds: number): Promise<void> {
  try {
    await task.waitForApproval({ timeoutMs: seconds * 1_000 })
  } catch (error) {
    // What was waited for is told by the state of each ask.
    if (!(error instanceof MayflyError) || !SAID_BY_STATE.has(error.code)) throw error
  }
}

const SAID_BY_STATE: ReadonlySet<string> = new Set(['approval_pending', 'approval_over', 'task_not_active'])

function isOver({ state, signal }: Task): boolean {
  return state !== 'active' || signal.aborted
}

export function render({ task, purpose }: Opened): LocalTask {
  const { id, agent, state, deadline, decision, asks } = task
  return {
    ...{ id, agent, purpose, state, deadline: deadline.toISOString() },
    ...(decision !== null && { decision }),
    asks: asks.map(renderAsk),
  }
}

function renderAsk({ id, authorizationDetails, state, approval, provider }: TaskAsk): LocalAsk {
  return {
    handle: id,
    authorization_details: { ...authorizationDetails },
    kind: kindOf(authorizationDetails),
    ...(provider !== undefined && { provider }),
    state,
    ...(state !== 'granted' &&
      approval && { approval: { id: approval.id, state: approval.state, reason: approval.reason } }),
  }
}
