/**
 * Traces over the OpenTelemetry API. The API alone does nothing: whoever wants traces loads an SDK into the
 * process, and every span goes there.
 */
import {
  type Context,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace as traceApi,
} from '@opentelemetry/api'
import { noTrace, type SpanAttributes, type Trace } from './trace.ts'

/** https://www.w3.org/TR/trace-context/#traceparent-header, version 00 */
const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Traces into whatever SDK was loaded before (`node --import`); none where there is none. */
export function createProcessTrace(version: string): Trace {
  const provider = traceApi.getTracerProvider()
  const isLoaded =
    !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('mayfly', version) !== undefined
  return isLoaded ? createTrace(provider.getTracer('mayfly', version)) : noTrace
}

export function createTrace(tracer: Tracer, parent: Context = ROOT_CONTEXT, active = true): Trace {
  return {
    active,
    async span<T>(name: string, attributes: SpanAttributes, work: (inner: Trace) => Promise<T>): Promise<T> {
      const span = tracer.startSpan(name, { attributes: { ...attributes } }, parent)
      const inner = createTrace(tracer, traceApi.setSpan(parent, span), span.isRecording())
      try {
        return await work(inner)
      } catch (error) {
        fail(span, error)
        throw error
      } finally {
        span.end()
      }
    },
    continuing(traceparent) {
      const remote = remoteParent(traceparent)
      return remote === undefined
        ? this
        : createTrace(tracer, traceApi.setSpanContext(parent, remote), active)
    },
  }
}

/** Messages of errors stay in the log: they are not made for whoever reads traces. */
function fail(span: Span, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('error.type', code ?? (error instanceof Error ? error.name : 'unknown'))
}

function remoteParent(traceparent: string | undefined) {
  const [, traceId, spanId, flags] = traceparentForm.exec(traceparent ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const remote = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
  return isSpanContextValid(remote) ? remote : undefined
}
