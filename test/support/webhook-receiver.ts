/** A webhook's receiver: verifies each message as Standard Webhooks says, and fails on demand. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into member by member, and asserted.
export type Message = { id: string; timestamp: number; body: any }

/** What becomes of one call: a status, or the connection is dropped; `after`: the message was taken first. */
export type Answer = number | 'drop' | 'drop after' | { status: number; headers: Record<string, string> }

export type WebhookReceiver = {
  url: string
  /** Taken and verified, in order, repeats included. */
  taken: Message[]
  /** Every call, verified or not. */
  calls: number
  /** Decides on each call; 204 unless set. */
  answer: (message: Message) => Answer | Promise<Answer>
  close(): Promise<void>
}

export async function startWebhookReceiver(secret = WEBHOOK_SECRET): Promise<WebhookReceiver> {
  const server = createServer((request, response) => {
    void (async () => {
      receiver.calls += 1
      const message = verify(request, await textOf(request), secret)
      if (message === undefined) return response.writeHead(401).end()
      const answer = await receiver.answer(message)
      if (answer === 'drop') return request.socket.destroy()
      const { status, headers } = typeof answer === 'object' ? answer : { status: answer, headers: {} }
      if (answer === 'drop after' || (typeof status === 'number' && status < 300))
        receiver.taken.push(message)
      if (answer === 'drop after') return request.socket.destroy()
      return response.writeHead(status as number, headers).end()
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mayfly`,
    taken: [],
    calls: 0,
    answer: () => 204,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return receiver
}

function verify({ headers }: IncomingMessage, body: string, secret: string): Message | undefined {
  const id = String(headers['webhook-id'])
  const timestamp = String(headers['webhook-timestamp'])
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const wanted = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
  const given = String(headers['webhook-signature'])
  if (given.length !== wanted.length || !timingSafeEqual(Buffer.from(given), Buffer.from(wanted)))
    return undefined
  return { id, timestamp: Number(timestamp), body: JSON.parse(body) }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
