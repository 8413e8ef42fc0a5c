/**
 * Faults on demand, shared by the stand-ins: a test says, call by call, what goes wrong and on which side of
 * the effect. A lost answer (`after` + `drop`) is the case that matters most: the credential exists, and the
 * caller was never told.
 */

/**
 * What happens to this call: `ok` goes on, `drop` destroys the connection without an answer, a status is
 * answered in place of the provider's own answer.
 */
export type FaultDecision =
  | 'ok'
  | 'drop'
  | { status: number; headers?: Record<string, string>; body?: string }

/** Asked twice for each call: before its effect and after it. */
export type FaultHook = (call: {
  provider: string
  /** The provider's own name of the call (`apps/create-installation-access-token`, `AssumeRole`). */
  operation: string
  when: 'before' | 'after'
}) => FaultDecision | Promise<FaultDecision>

/** The connection was destroyed without an answer: what a stand-in's `handle` rejects with for a `drop`. */
export class ConnectionDropped extends Error {
  override name = 'ConnectionDropped'
  constructor(provider: string, operation: string) {
    super(`${provider} dropped the connection during ${operation}`)
  }
}
