import type { Broker } from './broker.ts'

/** How long to wait after so many failures in a row, from 1: twice as long each time, up to the cap. */
export function backoffMs({ baseMs, capMs }: { baseMs: number; capMs: number }, failures: number): number {
  return Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 20))
}

/** Somewhere in the latter half of that: what failed together does not come back together. */
export function spreadMs({ jitter }: Pick<Broker, 'jitter'>, ms: number): number {
  return Math.ceil(ms * (0.5 + jitter() / 2))
}
