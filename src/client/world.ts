/** What the client needs of the process around it, and waiting in it. */

export type World = {
  fetch: typeof fetch
  /** Epoch ms. */
  now(): number
  /**
   * Runs once after `ms`; the returned function takes it back. `background`: it keeps no process alive that has
   * nothing else to do.
   */
  schedule(ms: number, run: () => void, options?: { background?: boolean }): () => void
}

/** @throws the signal's reason, as soon as there is one */
export function sleep(world: Pick<World, 'schedule'>, ms: number, signal?: AbortSignal): Promise<void> {
  let wake = () => {}
  const woken = new Promise<void>(resolve => {
    wake = world.schedule(ms, resolve)
  })
  return orAborted(woken, signal).finally(wake)
}

/** What comes first: the work, or the signal. The work goes on in either case. @throws the signal's reason */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const stop = () => reject(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  return promise
}
