/** The whole conversation of a workload with Mayfly: a few JSON requests over HTTP. */
import { CommandError } from '../src/cli/terminal.ts'
import type { Answer } from './timeline.ts'

export type Ask = { type: string; [member: string]: unknown }

export type OpenTask = {
  /** The proof of what the workload is: an ID token or a JWT-SVID. */
  evidence: string
  purpose: string
  minutes: number
  asks: readonly Ask[]
  /** For the humans who may be asked. */
  justification?: string
  /** From the parent task, where this is a sub-agent. */
  ticket?: string
}

/** An opened task, as its holder knows it. */
export type Task = {
  id: string
  agent: string
  deadline: string
  token: string
  /** Ids, in the order in which they were asked. */
  asks: readonly string[]
  /** Ids of the approvals that it waits for. */
  approvals: readonly string[]
}

/** `Secret`: a token, or the several parts of an AWS session. */
export type Credential<Secret> = {
  /** The id of its row in the ledger. */
  lease: string
  credential: Secret
  revocability: string
  expires_at: string
}

export type Lease = {
  lease: string
  agent: string
  issuer: string
  /** Of the secret. */
  sha256: string | null
  state: string
  closed_as: string | null
  revocability: string
  expires_at: string
  revoking_at: string | null
  confirmed_dead_at: string | null
}

export type TaskState = {
  state: string
  end: string | null
  asks: { id: string; state: string }[]
  credentials: Lease[]
}

/** What a refusal carries for programs: a stable code, and the id of the decision where there was one. */
export type Refusal = { code?: string; decision?: string }

/** An answer with what it carried; `body` is only of use where the request was granted. */
export type Answered<Body> = Answer & { body: Body; refusal: Refusal; retryAfter: string | null }

export type MayflyClient = ReturnType<typeof mayflyAt>

export function mayflyAt(url: string) {
  async function call<Body>(
    method: string,
    path: string,
    { token, body }: { token?: string; body?: unknown } = {},
  ): Promise<Answered<Body>> {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as Body & Refusal & { detail?: string }
    const words = response.ok ? response.statusText : (answer.detail ?? '')
    const retryAfter = response.headers.get('retry-after')
    return { from: 'Mayfly', status: response.status, words, body: answer, refusal: answer, retryAfter }
  }

  return {
    async openTask({ evidence, asks, ...request }: OpenTask): Promise<Answered<Task>> {
      type Ids = { id: string }[]
      type Opened = {
        task: Omit<Task, 'asks' | 'approvals'> & { asks: Ids; approvals?: Ids }
        task_token: string
      }
      const answer = await call<Opened>('POST', '/v1/tasks', {
        body: { ...request, evidence: { type: 'jwt', token: evidence }, authorization_details: asks },
      })
      if (answer.status >= 300) return { ...answer, body: NO_TASK }
      const { task, task_token } = answer.body
      const idsOf = (all: Ids = []) => all.map(({ id }) => id)
      const ids = { asks: idsOf(task.asks), approvals: idsOf(task.approvals) }
      return { ...answer, body: { ...task, token: task_token, ...ids } }
    },

    /** @param ask its id, from {@link Task.asks}. */
    credential: <Secret = string>(task: Task, ask: string) =>
      call<Credential<Secret>>('POST', `/v1/tasks/${task.id}/credentials`, {
        token: task.token,
        body: { ask },
      }),

    /** A one-use ticket for a sub-agent: which agent, for what at most, for how long. */
    ticket: (
      task: Task,
      { agent, minutes, asks }: { agent: string; minutes: number; asks: readonly Ask[] },
    ) =>
      call<{ ticket: string }>('POST', `/v1/tasks/${task.id}/tickets`, {
        token: task.token,
        body: { agent, minutes, authorization_details: asks },
      }),

    complete: (task: Task) =>
      call<TaskState>('POST', `/v1/tasks/${task.id}/complete`, {
        token: task.token,
        body: { outcome: 'completed' },
      }),

    show: (task: Task) => call<TaskState>('GET', `/v1/tasks/${task.id}`, { token: task.token }),

    /** For operators: every credential ever given that is in this state, or all of them. */
    async leases(operatorToken: string, state?: 'outstanding'): Promise<Lease[]> {
      const all: Lease[] = []
      let after: string | null = null
      do {
        const query = new URLSearchParams({ ...(state && { state }), ...(after && { after }) })
        const page: { items: Lease[]; next: string | null } = granted(
          await call('GET', `/v1/leases?${query}`, { token: operatorToken }),
        )
        all.push(...page.items)
        after = page.next
      } while (after !== null)
      return all
    },
  }
}

const NO_TASK: Task = { id: '', agent: '', deadline: '', token: '', asks: [], approvals: [] }

/** What a granted request carried. @throws CommandError for a refused one: the demo cannot go on without it. */
export function granted<Body>({ from, status, words, body }: Answered<Body>): Body {
  if (status < 300) return body
  throw new CommandError(`the demo cannot go on: ${from} answered ${status} ${words}`)
}
