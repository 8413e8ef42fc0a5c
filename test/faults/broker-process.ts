/** A broker as it runs in production: a process of its own, told where its configuration is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export type BrokerProcess = {
  url: string
  /** SIGKILL, at this very moment. */
  kill(): void
  /** Resolves when the process is gone. */
  readonly gone: Promise<unknown>
}

/** Resolves when the broker says that it is ready. @throws Error with what it wrote, where it ends instead. */
export async function spawnBroker(configPath: string): Promise<BrokerProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', configPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const gone = once(child, 'exit')
  try {
    return { url: await readiness(child), kill: () => void child.kill('SIGKILL'), gone }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

/** Both streams are read to their end, so that the broker never waits for a reader. */
function readiness({ stdout, stderr }: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const written: string[] = []
    const lines = createInterface({ input: stdout! })
    lines.on('line', line => {
      written.push(line)
      const { msg, url } = line.startsWith('{') ? (JSON.parse(line) as { msg?: string; url?: string }) : {}
      if (msg === 'mayfly is ready' && url !== undefined) resolve(url)
    })
    createInterface({ input: stderr! }).on('line', line => written.push(line))
    lines.on('close', () => reject(new Error(`the broker ended before it was ready:\n${written.join('\n')}`)))
  })
}
