/** A load client that costs next to nothing: keep-alive connections, one request at a time on each. */
import { connect, type Socket } from 'node:net'

/** So many times one request is sent again that was answered with "try again". */
const TRIES = 200

/**
 * Posts every body until it is answered with 200, spread over the connections: again where the answer is 503, as a
 * client does, though at once. Gives up at any other answer.
 * @returns seconds from the first byte to the last answer.
 */
export async function post(url: string, bodies: readonly string[], connections: number): Promise<number> {
  const { hostname, port, pathname, host } = new URL(url)
  const requests = bodies.map(body => request(pathname, host, body))
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(hostname, Number(port))))
  try {
    const queue = requests.values()
    const started = performance.now()
    await Promise.all(sockets.map(socket => drain(socket, queue)))
    return (performance.now() - started) / 1_000
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

function request(path: string, host: string, body: string): string {
  return [
    `POST ${path} HTTP/1.1`,
    `host: ${host}`,
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n')
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

function drain(socket: Socket, queue: Iterator<string>): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = ''
    let sent = ''
    let tries = 0
    const next = () => {
      const { done, value } = queue.next()
      if (done) return resolve()
      sent = value
      tries = 1
      socket.write(sent)
    }
    socket.setTimeout(30_000, () => reject(new Error('a request was not answered within 30 s')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
      if (!isWhole(received)) return
      const answer = received
      received = ''
      if (answer.startsWith('HTTP/1.1 200 ')) return next()
      tries += 1
      if (answer.startsWith('HTTP/1.1 503 ') && tries <= TRIES) socket.write(sent)
      else reject(new Error(`answered ${answer.slice(0, 1_000)}`))
    })
    next()
  })
}

/** Both servers answer with a length; anything else is no answer of theirs. */
function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, end + 2))?.[1]
  if (length === undefined) throw new Error(`an answer without a length: ${received.slice(0, end)}`)
  return received.length >= end + 4 + Number(length)
}
