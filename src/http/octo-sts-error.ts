/** Errors as gRPC's JSON gateway writes them, which is what clients of octo-sts look for a `message` in. */
import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { GRPC, type GrpcCode, StsRefusal, stsRefusalOf } from '../octo-sts/sts-refusal.ts'
import { LedgerUnavailable } from '../store/ledger.ts'
import { HttpRefusal, refusalOf } from './problem.ts'

/** google.golang.org/grpc, as the gateway maps its codes (runtime.HTTPStatusFromCode). */
const STATUS: Readonly<Record<GrpcCode, number>> = {
  3: 400,
  5: 404,
  7: 403,
  8: 429,
  9: 400,
  12: 501,
  13: 500,
  14: 503,
  16: 401,
}

export function renderOctoStsError(
  c: Context,
  error: unknown,
  { log, metrics }: Pick<Broker, 'log' | 'metrics'>,
): Response {
  const refusal = refusalFrom(c, error)
  const { code: counted, headers } = refusalOf(error)
  metrics.refused(counted)
  const status = error instanceof HttpRefusal && error.status === 413 ? 413 : STATUS[refusal.grpc]
  if (status >= 500 && refusal.grpc !== GRPC.unimplemented)
    log.error({ code: counted, method: c.req.method, path: c.req.path, err: error }, refusal.message)
  const { grpc: code, message } = refusal
  return new Response(JSON.stringify({ code, message, details: [] }), {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      // When to come back, and that a connection with the rest of a body on it is closed: as everywhere.
      ...headers,
    },
  })
}

function refusalFrom(c: Context, error: unknown): StsRefusal {
  if (error instanceof BrokerError) return stsRefusalOf(error)
  if (error instanceof LedgerUnavailable)
    return new StsRefusal(GRPC.unavailable, 'the ledger is unavailable; it is safe to send this again')
  if (!(error instanceof HttpRefusal))
    return new StsRefusal(GRPC.internal, 'internal error: the cause is in the log of the broker')
  const sent = c.env.incoming.rawHeaders.filter(
    (one: string, index: number) => index % 2 === 0 && one.toLowerCase() === 'authorization',
  )
  return sent.length > 1
    ? new StsRefusal(GRPC.unauthenticated, 'expected exactly one authorization header')
    : new StsRefusal(GRPC.invalidArgument, error.message)
}
