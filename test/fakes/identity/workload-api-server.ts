/**
 * A SPIFFE agent: the Workload API on a Unix socket, by the published proto (`workload.proto` beside this file) and
 * gRPC's own server. What it says is chosen by the test; every change goes to every open stream, whole.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export type X509Svid = {
  spiffe_id: string
  /** DER: the leaf, and those above it. */
  x509_svid: Uint8Array
  /** DER, PKCS #8. */
  x509_svid_key: Uint8Array
  bundle: Uint8Array
  hint?: string
}

/** What the agent has for its workloads; bundles by the SPIFFE ID of their trust domain. */
export type WorkloadState = {
  jwtBundles: Readonly<Record<string, Uint8Array>>
  x509Bundles: Readonly<Record<string, Uint8Array>>
  x509Svids: readonly X509Svid[]
  /** Answers FetchJWTSVID. */
  jwtSvids?: (audience: readonly string[], spiffeId: string) => { spiffe_id: string; svid: string }[]
}

const STREAMS = ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'] as const
type StreamName = (typeof STREAMS)[number]

export type WorkloadApiServer = {
  socket: string
  /** Changes what is given, and tells every open stream. */
  give(change: Partial<WorkloadState>): void
  /** Sends a message, or bytes in the place of one, on the open streams of one call, and changes nothing. */
  send(name: StreamName, message: object): void
  /** Ends the open streams with a status. */
  breakStreams(code: status): void
  /** Answers every call with a status from now on; undefined: with what there is. */
  refuse(code: status | undefined): void
  /** Open streams of one call, or of all. */
  streams(name?: StreamName): number
  /** Calls so far, by name. */
  readonly calls: StreamName[]
  /** The agent dies; its socket goes with it. */
  stop(): Promise<void>
  /** It is there again, at the same socket. */
  start(): Promise<void>
  close(): Promise<void>
}

export async function startWorkloadApiServer(first: Partial<WorkloadState> = {}): Promise<WorkloadApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'workload-api-'))
  const socket = join(folder, 'agent.sock')
  const state: WorkloadState = { jwtBundles: {}, x509Bundles: {}, x509Svids: [], ...first }
  const open = new Map<ServerWritableStream<object, object>, StreamName>()
  const calls: StreamName[] = []
  let refusal: status | undefined
  let server: Server | undefined

  const messageOf = (name: StreamName): object => {
    if (name === 'FetchX509SVID') return { svids: state.x509Svids }
    return { bundles: name === 'FetchJWTBundles' ? state.jwtBundles : state.x509Bundles }
  }
  const refusalOf = (call: { metadata: { get(name: string): unknown[] } }): status | undefined =>
    call.metadata.get('workload.spiffe.io')[0] === 'true' ? refusal : status.INVALID_ARGUMENT
  const streaming = (name: StreamName) => (call: ServerWritableStream<object, object>) => {
    calls.push(name)
    const code = refusalOf(call)
    if (code !== undefined) return call.emit('error', refused(code))
    open.set(call, name)
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, () => open.delete(call))
    return call.write(messageOf(name))
  }
  const fetchJwtSvid = (
    call: ServerUnaryCall<{ audience: string[]; spiffe_id: string }, object>,
    answer: sendUnaryData<object>,
  ) => {
    const { audience, spiffe_id } = call.request
    const code = refusalOf(call) ?? (audience.length === 0 ? status.INVALID_ARGUMENT : undefined)
    if (code !== undefined) return answer(refused(code))
    const svids = state.jwtSvids?.(audience, spiffe_id) ?? []
    return svids.length === 0 ? answer(refused(status.PERMISSION_DENIED)) : answer(null, { svids })
  }
  const start = async () => {
    if (server !== undefined) return
    const started = new Server()
    started.addService(serviceOf(), {
      ...Object.fromEntries(STREAMS.map(name => [name, streaming(name)])),
      FetchJWTSVID: fetchJwtSvid,
    })
    await new Promise<void>((resolve, reject) =>
      started.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), error =>
        error === null ? resolve() : reject(error),
      ),
    )
    server = started
  }
  const stop = async () => {
    server?.forceShutdown()
    server = undefined
    open.clear()
    await rm(socket, { force: true })
  }
  await start()
  return {
    socket,
    calls,
    start,
    stop,
    give(change) {
      Object.assign(state, change)
      for (const [call, name] of open) call.write(messageOf(name))
    },
    send(name, message) {
      for (const [call, its] of open) if (its === name) call.write(message)
    },
    breakStreams(code) {
      for (const call of [...open.keys()]) call.emit('error', refused(code))
    },
    refuse(code) {
      refusal = code
    },
    streams: name => [...open.values()].filter(its => name === undefined || its === name).length,
    async close() {
      await stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const refused = (code: status) => ({ code, details: `the stand-in says ${status[code]}` })

function serviceOf() {
  const proto = loadSync(join(import.meta.dirname, 'workload.proto'), { keepCase: true, defaults: true })
  const { service } = loadPackageDefinition(proto).SpiffeWorkloadAPI as ServiceClientConstructor
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => {
      const responseSerialize = (message: object) =>
        Buffer.isBuffer(message) ? message : method.responseSerialize(message)
      return [name, { ...method, responseSerialize }]
    }),
  )
}

/** A bundle as SPIRE's agent gives it: a plain JWKS, without `use` and `spiffe_sequence`. */
export function plainJwks(bundle: string): Uint8Array {
  const { keys } = JSON.parse(bundle) as { keys: Record<string, unknown>[] }
  return Buffer.from(JSON.stringify({ keys: keys.map(({ use: _, ...jwk }) => jwk) }))
}
