import { request as httpRequest } from 'node:http'

export type Sent = {
  method: string
  /** As it stands in the request line: nothing is normalised. */
  path: string
  type?: string | undefined
  /** After `Authorization: Bearer `. */
  token?: string | undefined
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
}

export type Reply = {
  status: number
  /** The body, without what names the request in it; `content-length` still tells of it. */
  text: string
  /** Names and values of all headers but `date` and a request id of the broker's making, as they came. */
  headers: string
  /** Everything, for canaries. */
  whole: string
}

/** One request through the real port, on a connection of its own. */
export function request(url: string, { method, path, type, token, headers, body }: Sent): Promise<Reply> {
  const { hostname, port } = new URL(url)
  const all = {
    ...(type === undefined ? {} : { 'content-type': type }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  }
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ hostname, port, method, path, headers: all, agent: false }, incoming => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const instance =
          /,"instance":"urn:mayfly:request:req_[0-9a-z]{26}"|<RequestId>req_[0-9a-z]{26}<.RequestId>/
        const text = Buffer.concat(chunks).toString().replace(instance, '')
        const named = incoming.rawHeaders
          .flatMap((name, at, raw) => (at % 2 === 0 ? [`${name.toLowerCase()}: ${raw[at + 1]}`] : []))
          .filter(line => !/^(date: |x-(?:amzn-requestid|request-id): req_[0-9a-z]{26}$)/.test(line))
          .join('\n')
        resolve({ status: incoming.statusCode ?? 0, text, headers: named, whole: `${named}\n\n${text}` })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
