import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'

/** What the figures were taken on, for the first line of the output. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = `${(totalmem() / 2 ** 30).toFixed(1)} GiB`
  return `${model}, ${availableParallelism()} cores, ${memory}, ${type()} ${release()}, Node ${process.versions.node}`
}

/** Appends of one 4 KiB page, each made durable before the next, per second: what the disk itself can do. */
export function rawSyncsPerSecond(directory: string, forMs: number): number {
  const page = Buffer.alloc(4_096, 1)
  const file = openSync(join(directory, 'raw-sync'), 'w')
  try {
    const started = performance.now()
    let syncs = 0
    while (performance.now() - started < forMs) {
      writeSync(file, page, 0, page.length, syncs * page.length)
      fdatasyncSync(file)
      syncs += 1
    }
    return syncs / ((performance.now() - started) / 1_000)
  } finally {
    closeSync(file)
  }
}
