/** Traces, as a port. Attributes are ids, names and codes: never a secret, never evidence. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

export interface Trace {
  /** Whether anybody records what is below here. */
  readonly active: boolean
  /** Runs `work` in a span below this one; what it throws is told of, and thrown on. */
  span<T>(name: string, attributes: SpanAttributes, work: (inner: Trace) => Promise<T>): Promise<T>
  /** A trace that goes on from a caller's (W3C Trace Context, `traceparent`); a malformed one is none. */
  continuing(traceparent: string | undefined): Trace
}

export const noTrace: Trace = {
  active: false,
  span: (_name, _attributes, work) => work(noTrace),
  continuing: () => noTrace,
}
