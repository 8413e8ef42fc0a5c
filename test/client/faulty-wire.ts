/** A wire to a broker that loses, holds and replaces what goes over it, request by request. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FaultDecision } from '../fakes/faults.ts'

export type Passing = {
  /** `POST /v1/tasks`, with ids as `*`. */
  operation: string
  when: 'before' | 'after'
  /** How many of this operation came before, in this test. */
  nth: number
}

export type FaultyWire = {
  url: string
  /** Where it leads; change it when the broker has moved. */
  target: string
  /** Asked before and after the broker is. */
  fault: (passing: Passing) => FaultDecision | Promise<FaultDecision>
  /** Everything that came, in order. */
  seen: string[]
  reset(): void
  close(): Promise<void>
}

export async function startFaultyWire(target: string): Promise<FaultyWire> {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const operation = `${request.method} ${request.url?.replace(/tsk_\w+/, '*')}`
    const nth = wire.seen.filter(one => one === operation).length
    wire.seen.push(operation)

    async function isSpoiled(when: Passing['when']): Promise<boolean> {
      const decision = await wire.fault({ operation, when, nth })
      if (decision === 'ok') return false
      if (decision === 'drop') request.socket.destroy()
      else response.writeHead(decision.status, decision.headers).end(decision.body)
      return true
    }
    if (await isSpoiled('before')) return
    const { authorization, prefer } = request.headers
    const answer = await fetch(wire.target + request.url, {
      method: request.method ?? 'GET',
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(prefer === undefined ? {} : { prefer: String(prefer) }),
        ...(body === '' ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === '' ? {} : { body }),
    })
    const text = await answer.text()
    if (await isSpoiled('after')) return
    const retryAfter = answer.headers.get('retry-after')
    response.writeHead(answer.status, retryAfter === null ? {} : { 'retry-after': retryAfter }).end(text)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const wire: FaultyWire = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target,
    fault: () => 'ok',
    seen: [],
    reset() {
      wire.fault = () => 'ok'
      wire.seen = []
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return wire
}
