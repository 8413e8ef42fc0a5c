/** The broker's HTTP interface as tests call it. */
import { setTimeout as wait } from 'node:timers/promises'
import type { RunningServer } from '../../src/server.ts'
import type { Installation } from '../fakes/installation.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
export type Answer = { status: number; body: any; headers: Headers }
export type OpenedTask = { id: string; token: string; asks: string[]; answer: Answer }

export type Api = {
  call(method: string, path: string, token?: string, body?: unknown): Promise<Answer>
  form(path: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Answer>
  /** Opens with a job's ID token unless `extra.evidence` says otherwise; throws where it is refused. */
  open(asks: unknown[], extra?: Record<string, unknown>): Promise<OpenedTask>
  credential(task: OpenedTask, ask?: string): Promise<Answer>
  complete(task: OpenedTask, outcome?: string): Promise<Answer>
  show(task: OpenedTask): Promise<Answer>
  /** Polls until the task is in this state. */
  until(task: OpenedTask, state: 'ended' | 'settled'): Promise<Answer>
}

export function createApi(broker: Pick<RunningServer, 'url'>, installation: Installation): Api {
  async function send(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(broker.url + path, init)
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json')
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
  }
  const api: Api = {
    call: (method, path, token, body) =>
      send(path, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    form: (path, fields, headers = {}) =>
      send(path, { method: 'POST', headers, body: new URLSearchParams(fields) }),
    async open(asks, extra = {}) {
      const evidence = extra.evidence ?? { type: 'jwt', token: await installation.jobToken() }
      const body = { purpose: 'a test', authorization_details: asks, ...extra, evidence }
      const answer = await api.call('POST', '/v1/tasks', undefined, body)
      if (answer.status !== 201) throw new Error(`not opened: ${JSON.stringify(answer.body)}`)
      const { task, task_token } = answer.body
      return { id: task.id, token: task_token, asks: task.asks.map((ask: { id: string }) => ask.id), answer }
    },
    credential: (task, ask = task.asks[0]!) =>
      api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, { ask }),
    complete: (task, outcome = 'completed') =>
      api.call('POST', `/v1/tasks/${task.id}/complete`, task.token, { outcome }),
    show: task => api.call('GET', `/v1/tasks/${task.id}`, task.token),
    async until(task, state) {
      for (;;) {
        const answer = await api.show(task)
        if (answer.body.state === state || answer.body.state === 'settled') return answer
        await wait(5)
      }
    },
  }
  return api
}
