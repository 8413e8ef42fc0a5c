/**
 * One stream of the SPIFFE Workload API, followed for as long as somebody wants it: called again, with backoff and
 * jitter, whenever it ends. Every message is the whole state.
 *
 * What answers is trusted like the host itself, and bounded all the same: in the size of a message, in how many are
 * taken a second, and in how often it is called.
 */
import type { ServiceClientConstructor, ServiceError } from '@grpc/grpc-js'
import type { AttestorDeps } from '../attestor.ts'
import { WORKLOAD_API_PROTO } from './workload-api-proto.ts'

export const WORKLOAD_API_LIMITS = {
  messageBytes: 4 * 1024 * 1024,
  /** Between two messages that are taken. */
  pauseMs: 20,
  retryBaseMs: 1_000,
  retryCapMs: 30_000,
  /** How often a silent connection is asked whether it is alive; servers take more than one in five minutes ill. */
  keepAliveMs: 6 * 60_000,
  keepAliveAnswerMs: 20_000,
} as const

export type WorkloadApiCall = {
  /** An absolute path of this host. */
  socket: string
  method: 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles'
}

/**
 * Why there is no stream. `lost`: it is called again. `denied`: too, and what was said before no longer holds.
 * `final`: it is not called again (SPIFFE Workload Endpoint, appendix A).
 */
export type StreamEnd = { how: 'lost' | 'denied' | 'final'; reason: string }

export type StreamListener = { message(message: unknown): void; ended(end: StreamEnd): void }

type Deps = Pick<AttestorDeps, 'schedule' | 'jitter'>

/** @returns what ends it */
export function followWorkloadApi(call: WorkloadApiCall, listener: StreamListener, deps: Deps): () => void {
  let stopped = false
  let failures = 0
  let hangUp = () => {}
  let cancelTimer = () => {}

  function ended(end: StreamEnd): void {
    hangUp()
    cancelTimer()
    if (stopped) return
    listener.ended(end)
    if (end.how === 'final') return
    cancelTimer = deps.schedule(backoffMs(failures, deps.jitter()), begin)
    failures += 1
  }

  function begin(): void {
    dial(call).then(
      connection => {
        if (stopped) return connection.hangUp()
        hangUp = connection.hangUp
        connection.listen({
          message(message, resume) {
            failures = 0
            listener.message(message)
            cancelTimer = deps.schedule(WORKLOAD_API_LIMITS.pauseMs, resume)
          },
          ended,
        })
      },
      () => ended({ how: 'final', reason: 'the gRPC client cannot be loaded' }),
    )
  }

  begin()
  return () => {
    stopped = true
    cancelTimer()
    hangUp()
  }
}

/** From a half of it to the whole. */
export function backoffMs(failures: number, jitter: number): number {
  const { retryBaseMs, retryCapMs } = WORKLOAD_API_LIMITS
  return Math.min(retryCapMs, retryBaseMs * 2 ** Math.min(failures, 16)) * (0.5 + jitter / 2)
}

type Connection = {
  listen(to: { message(message: unknown, resume: () => void): void; ended(end: StreamEnd): void }): void
  hangUp(): void
}

/** A client of its own for each call, so that when to connect again is decided here alone. */
async function dial({ socket, method }: WorkloadApiCall): Promise<Connection> {
  const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
  const { SpiffeWorkloadAPI } = grpc.loadPackageDefinition(fromJSON(WORKLOAD_API_PROTO))
  const Client = SpiffeWorkloadAPI as ServiceClientConstructor // what it makes of a service
  const called = Client.service[method]
  if (called === undefined) throw new TypeError(`${method} is not in the description of the Workload API`)
  const client = new Client(`unix:${socket}`, grpc.credentials.createInsecure(), CHANNEL)
  let cancel = () => {}
  return {
    listen({ message, ended }) {
      const metadata = new grpc.Metadata()
      metadata.set('workload.spiffe.io', 'true')
      const { path, requestSerialize, responseDeserialize } = called
      const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata)
      cancel = () => stream.cancel()
      let over = false
      const end = (reason: StreamEnd) => {
        if (over) return
        over = true
        ended(reason)
      }
      stream.on('data', data => {
        stream.pause()
        if (!over) message(data, () => stream.resume())
      })
      stream.on('error', error => end(endOf(error as ServiceError, grpc.status, socket)))
      stream.on('end', () => end({ how: 'lost', reason: `the Workload API at ${socket} ended the stream` }))
    },
    hangUp() {
      // A closed client lets what is under way go on.
      cancel()
      client.close()
    },
  }
}

const CHANNEL = {
  'grpc.max_receive_message_length': WORKLOAD_API_LIMITS.messageBytes,
  'grpc.keepalive_time_ms': WORKLOAD_API_LIMITS.keepAliveMs,
  'grpc.keepalive_timeout_ms': WORKLOAD_API_LIMITS.keepAliveAnswerMs,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
} as const

/** The server's own words are not repeated: its code says what matters. */
function endOf(
  error: ServiceError,
  status: typeof import('@grpc/grpc-js').status,
  socket: string,
): StreamEnd {
  const reason = `the Workload API at ${socket} answers ${status[error.code] ?? 'nothing'}`
  if (error.code === status.PERMISSION_DENIED) return { how: 'denied', reason }
  const isFinal = error.code === status.UNIMPLEMENTED || error.code === status.INVALID_ARGUMENT
  return isFinal ? { how: 'final', reason: `${reason}, and is not asked again` } : { how: 'lost', reason }
}
