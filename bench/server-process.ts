/** A server in a process of its own, as an operator would start it. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export type ServerProcess = {
  url: string
  /** From the start of the process until it said that it is ready. */
  readyMs: number
  /** Processor time used so far, ms, in steps of 10; undefined where the system does not say. */
  processorMs(): number | undefined
  stop(): Promise<void>
}

const READY_WITHIN_MS = 30_000

/**
 * Starts `node ARGS` and waits until a line of its output names its URL.
 * @param urlOf the URL in such a line, or undefined.
 * @throws Error with what it said where it ends first.
 */
export async function startProcess(
  args: readonly string[],
  urlOf: (line: string) => string | undefined,
): Promise<ServerProcess> {
  const started = performance.now()
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  let said = ''
  child.stderr.on('data', chunk => {
    said = `${said}${chunk}`.slice(-4_000)
  })
  const url = await new Promise<string>((resolve, reject) => {
    const tooLate = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS)
    createInterface(child.stdout).on('line', line => {
      const found = urlOf(line)
      if (found === undefined) said = `${said}${line}\n`.slice(-4_000)
      else resolve(found)
    })
    void ended.then(() => reject(new Error(`${args.join(' ')} ended: ${said}`)))
    child.once('error', reject)
    void ended.then(() => clearTimeout(tooLate))
    child.stdout.once('data', () => clearTimeout(tooLate))
  })
  const readyMs = performance.now() - started
  return {
    url,
    readyMs,
    processorMs: () => processorMs(child.pid),
    async stop() {
      child.kill('SIGTERM')
      const impatience = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS)
      await ended
      clearTimeout(impatience)
    },
  }
}

/** `mayfly serve`, ready when its log says so. */
export function startBroker(configPath: string, nodeOptions: readonly string[] = []): Promise<ServerProcess> {
  const main = new URL('../src/main.ts', import.meta.url).pathname
  return startProcess([...nodeOptions, main, 'serve', '--config', configPath], logged => {
    if (!logged.includes('mayfly is ready')) return undefined
    return (JSON.parse(logged) as { url: string }).url
  })
}

export function startBare(how: 'each' | 'grouped', args: readonly string[]): Promise<ServerProcess> {
  const bare = new URL('bare.ts', import.meta.url).pathname
  return startProcess([bare, how, ...args], printed => (printed.startsWith('http') ? printed : undefined))
}

/** User and system time of a Linux process: fields 14 and 15 of its stat file, in hundredths of a second. */
function processorMs(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return undefined
  }
}
