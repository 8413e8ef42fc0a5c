/** A broker as it runs in production: a process of its own, told where its configuration is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const KEPT_LINES = 50
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export type BrokerProcess = {
  url: string
  /** SIGKILL, at this very moment. */
  kill(): void
  /** SIGSTOP: it does nothing more, keeps its connections, and knows nothing of it afterwards. */
  pause(): void
  /** SIGCONT. */
  resume(): void
  /** SIGHUP: reads its configuration again. */
  reload(): void
  /** Resolves when the process is gone, however that came. */
  readonly gone: Promise<unknown>
  /** The last lines that it wrote. */
  lastWords(): string
}

/** Resolves when the broker says that it is ready. @throws Error with what it wrote, where it ends instead. */
export async function spawnBroker(configPath: string): Promise<BrokerProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', configPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const gone = once(child, 'exit')
  const lines: string[] = []
  const lastWords = () => lines.join('\n')
  const heard = (line: string) => {
    lines.push(line)
    if (lines.length > KEPT_LINES) lines.shift()
  }
  try {
    const url = await readiness(child, heard)
    const signal = (name: NodeJS.Signals) => () => void child.kill(name)
    return {
      ...{ url, gone, lastWords },
      ...{ kill: signal('SIGKILL'), pause: signal('SIGSTOP'), resume: signal('SIGCONT') },
      reload: signal('SIGHUP'),
    }
  } catch {
    child.kill('SIGKILL')
    await gone
    throw new Error(`the broker ended before it was ready:\n${lastWords()}`)
  }
}

/** Both streams are read to their end, so that the broker never waits for a reader. */
function readiness({ stdout, stderr }: ChildProcess, heard: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: stdout! })
    lines.on('line', line => {
      heard(line)
      const { msg, url } = line.startsWith('{') ? (JSON.parse(line) as { msg?: string; url?: string }) : {}
      if (msg === 'mayfly is ready' && url !== undefined) resolve(url)
    })
    const errors = createInterface({ input: stderr! }).on('line', heard)
    Promise.all([once(lines, 'close'), once(errors, 'close')]).then(
      () => reject(new Error('it ended')),
      reject,
    )
  })
}
