/** The process around the client, wherever it runs: the one place of the client that touches it. */
import type { World } from './world.ts'

/** Deno's timers are numbers. */
type DenoTimers = { Deno?: { unrefTimer?: (id: number) => void } }

export const surroundings: World = {
  // Looked up when it is called, so that whoever replaces it (an agent for proxies, a trace) is heard.
  fetch: (input, init) => globalThis.fetch(input, init),
  now: () => Date.now(),
  schedule(ms, run, { background = false } = {}) {
    const timer: unknown = setTimeout(run, ms)
    if (background) unref(timer)
    return () => clearTimeout(timer as NodeJS.Timeout)
  },
}

function unref(timer: unknown): void {
  if (typeof timer === 'number') (globalThis as DenoTimers).Deno?.unrefTimer?.(timer)
  else (timer as Partial<NodeJS.Timeout>).unref?.()
}
