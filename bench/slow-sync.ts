/** A disk on which every sync takes 2 ms, out of any disk: what is started with this environment meets it. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

export const SYNC_MS = 2

/** @returns the environment, or why there is none on this machine. */
export function slowSync(directory: string): { env: Record<string, string> } | { missing: string } {
  if (process.platform !== 'linux') return { missing: 'needs Linux' }
  const library = join(directory, 'slow-sync.so')
  const source = join(import.meta.dirname, 'slow-sync.c')
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { stdio: 'pipe' })
  } catch {
    return { missing: 'needs a C compiler (cc)' }
  }
  return { env: { LD_PRELOAD: library, MAYFLY_BENCH_SYNC_US: `${SYNC_MS * 1_000}` } }
}

/** @throws Error where syncs are faster than they were to be: a figure of a slow disk would be none. */
export function refuseFastSync(syncsPerSecond: number): void {
  if (syncsPerSecond > 1_000 / SYNC_MS)
    throw new Error(`syncs were to take ${SYNC_MS} ms, and ${syncsPerSecond.toFixed(0)} fit into a second`)
}
